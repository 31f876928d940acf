import { RecloomError } from '@recloom/plugin-api';

const hints = {
  IMAGE_CLIP_GRAPH:
    'The vision graph needs pixel_values float32 [pictures, 3, height, width] and must give image_embeds; the text graph needs input_ids and must give text_embeds or last_hidden_state.',
  IMAGE_CLIP_MAX_TOKENS: "Lower `maxTokens`, or leave it out to get the text model's own limit.",
  IMAGE_CLIP_PREPROCESSING: 'The model folder needs the preprocessor_config.json of a CLIP image processor that fits the graph.',
  IMAGE_CLIP_TOKENIZER: 'The text model needs tokenizer.json (and tokenizer_config.json) of the same model as the graph.',
  IMAGE_CLIP_WIDTH: 'Both towers must be of one model, or of models that share a space.',
} as const;

/** An error with one of this plugin's own codes. */
export function clipError(code: keyof typeof hints, message: string, cause?: unknown): RecloomError {
  return new RecloomError({ code, message, hint: hints[code], cause });
}
