import { defineFeatureExtractor, definePlugin, inferenceToken, itemField, keyValueStoreToken, modelFilesToken } from '@recloom/plugin-api';
import { bertOptions } from './options.js';

/** Embeddings of item texts and of queries by a BERT-like ONNX model. */
export const embedding = defineFeatureExtractor({
  id: 'embedding',
  summary: 'Embeds item texts and queries with a BERT-like ONNX model, so that what means the same lies near.',
  options: bertOptions,
  needs: { inference: inferenceToken, modelFiles: modelFilesToken, store: keyValueStoreToken },
  inputs: {
    text: itemField({
      many: true,
      types: ['text', 'category', 'list'],
      description: 'The item fields that are embedded, joined in the order given, e.g. [item.title, item.category].',
    }),
  },
  reads: ['query'],
  capabilities: {
    deterministic: true,
    modality: 'text',
    scopes: ['item', 'query'],
    coldItem: true,
    asks: ['text'],
    devices: ['cpu', 'cuda', 'webgpu', 'dml', 'coreml'],
  },
  stateVersion: 1,
  async create({ options, deps, signal, warn }) {
    const { BertEmbedding } = await import('./bert-embedding.js');
    return BertEmbedding.open(options, deps, { signal, warn });
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'text-bert',
  components: [embedding],
  errors: [
    {
      code: 'TEXT_BERT_GRAPH',
      summary: 'The graph is not a text encoder this component can run.',
      hint: 'It needs input_ids and attention_mask, may take token_type_ids and position_ids, and must give last_hidden_state or token_embeddings.',
    },
    {
      code: 'TEXT_BERT_MAX_TOKENS',
      summary: '`maxTokens` is more than the model can take.',
      hint: "Lower `maxTokens`, or leave it out to get the model's own limit.",
    },
    {
      code: 'TEXT_BERT_TOKENIZER',
      summary: 'The tokenizer files of the model are missing, unreadable or do not fit the graph.',
      hint: 'The model folder needs tokenizer.json (and tokenizer_config.json) of the same model as the graph.',
    },
    {
      code: 'TEXT_BERT_WIDTH',
      summary: 'The graph gives vectors of another width than it or config.json says.',
      hint: 'Check that the graph and config.json belong to the same model.',
    },
    {
      code: 'TEXT_BERT_NOT_FINITE',
      summary: 'Warning: the model gave numbers that are not finite; those texts are left out.',
      hint: 'Try another graph file or device.',
    },
    {
      code: 'TEXT_BERT_STORE',
      summary: 'Warning: stored embeddings could not be read or written; texts are encoded afresh.',
      hint: 'Check the key-value store; results are the same without it, only slower.',
    },
  ],
});
