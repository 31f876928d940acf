import {
  defineFeatureExtractor,
  definePlugin,
  imageReaderToken,
  inferenceToken,
  itemField,
  keyValueStoreToken,
  modelFilesToken,
} from '@recloom/plugin-api';
import { clipOptions } from './options.js';

/** Embeddings of item pictures, and of queries of words, pictures or both, by a model in CLIP's layout. */
export const embedding = defineFeatureExtractor({
  id: 'embedding',
  summary:
    'Embeds item pictures and queries of words, pictures or both with a CLIP-like ONNX model, so that what looks or means the same lies near.',
  options: clipOptions,
  needs: { inference: inferenceToken, modelFiles: modelFilesToken, store: keyValueStoreToken, images: imageReaderToken },
  inputs: {
    image: itemField({
      types: ['image', 'text'],
      description: 'The item field that holds the picture: a path, a data URI or whatever reference the image reader knows.',
    }),
  },
  reads: ['query', 'image'],
  capabilities: {
    deterministic: true,
    modality: 'image',
    scopes: ['item', 'query'],
    coldItem: true,
    asks: ['text', 'image'],
    devices: ['cpu', 'cuda', 'webgpu', 'dml', 'coreml'],
  },
  stateVersion: 1,
  async create({ options, deps, signal, warn }) {
    const { ClipEmbedding } = await import('./clip-embedding.js');
    return ClipEmbedding.open(options, deps, { signal, warn });
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'image-clip',
  components: [embedding],
  errors: [
    {
      code: 'IMAGE_CLIP_GRAPH',
      summary: 'A graph is not a tower of a CLIP-like model this component can run.',
      hint: 'The vision graph needs pixel_values float32 [pictures, 3, height, width] and must give image_embeds; the text graph needs input_ids and must give text_embeds or last_hidden_state.',
    },
    {
      code: 'IMAGE_CLIP_MAX_TOKENS',
      summary: '`maxTokens` is more than the text model can take.',
      hint: "Lower `maxTokens`, or leave it out to get the text model's own limit.",
    },
    {
      code: 'IMAGE_CLIP_PREPROCESSING',
      summary: 'preprocessor_config.json is missing or asks for what a CLIP image processor does not do.',
      hint: 'The model folder needs the preprocessor_config.json of a CLIP image processor that fits the graph.',
    },
    {
      code: 'IMAGE_CLIP_TOKENIZER',
      summary: 'The tokenizer files of the text model are missing or unreadable.',
      hint: 'The text model needs tokenizer.json (and tokenizer_config.json) of the same model as the graph.',
    },
    {
      code: 'IMAGE_CLIP_WIDTH',
      summary: 'The towers give vectors of different widths.',
      hint: 'Both towers must be of one model, or of models that share a space.',
    },
    {
      code: 'IMAGE_CLIP_ANIMATED',
      summary: 'Warning: pictures that move (APNG, animated WebP, AVIF sequences) are left out.',
      hint: 'Store a still picture. Of a GIF the first frame is taken.',
    },
    {
      code: 'IMAGE_CLIP_DAMAGED',
      summary: 'Warning: pictures that are damaged or cut short are left out.',
      hint: 'Store them again, or set `damaged: accept` for files with harmless faults.',
    },
    { code: 'IMAGE_CLIP_EMPTY', summary: 'Warning: pictures of no bytes are left out.', hint: 'Check how the files were copied.' },
    {
      code: 'IMAGE_CLIP_FORMAT',
      summary: 'Warning: pictures that are not JPEG, PNG, WebP, AVIF or GIF are left out.',
      hint: 'Convert them; SVG, TIFF, PDF, HEIC and the like are never decoded.',
    },
    {
      code: 'IMAGE_CLIP_LYING',
      summary: 'Warning: pictures whose name or media type tells another format than their bytes are left out.',
      hint: 'Rename them, or set `wrongExtension: accept`.',
    },
    {
      code: 'IMAGE_CLIP_MISSING',
      summary: 'Warning: pictures that were not found are left out.',
      hint: 'Paths are relative to the folder of the config file; check the field and the files.',
    },
    {
      code: 'IMAGE_CLIP_NOT_FINITE',
      summary: 'Warning: the model gave numbers that are not finite, or nothing but zeros; those pictures are left out.',
      hint: 'Try another graph file or device.',
    },
    {
      code: 'IMAGE_CLIP_REFUSED',
      summary: 'Warning: pictures outside the folders and hosts that may be read are left out.',
      hint: 'Allow folders with images.directories and hosts with images.hosts in the config, or provide imageReaderToken.',
    },
    {
      code: 'IMAGE_CLIP_STORE',
      summary: 'Warning: stored embeddings could not be read or written; pictures are encoded afresh.',
      hint: 'Check the key-value store; results are the same without it, only slower.',
    },
    {
      code: 'IMAGE_CLIP_TIMEOUT',
      summary: 'Warning: pictures that took too long to decode are left out.',
      hint: 'Store them smaller, or raise `timeoutMs`.',
    },
    {
      code: 'IMAGE_CLIP_TOO_MANY_BYTES',
      summary: 'Warning: pictures whose file is larger than `maximumBytes` are left out.',
      hint: 'Store them smaller, or raise `maximumBytes`.',
    },
    {
      code: 'IMAGE_CLIP_TOO_MANY_PIXELS',
      summary: 'Warning: pictures of more pixels than `maximumPixels` are left out before they are decoded.',
      hint: 'Store them smaller, or raise `maximumPixels`: a decoded picture takes up to four bytes a pixel.',
    },
    {
      code: 'IMAGE_CLIP_UNREADABLE',
      summary: 'Warning: the image reader failed; those pictures are left out.',
      hint: 'Check the storage behind imageReaderToken.',
    },
  ],
});
