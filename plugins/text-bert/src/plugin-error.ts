import { RecloomError } from '@recloom/plugin-api';

const hints = {
  TEXT_BERT_GRAPH:
    'It needs input_ids and attention_mask, may take token_type_ids and position_ids, and must give last_hidden_state or token_embeddings.',
  TEXT_BERT_MAX_TOKENS: "Lower `maxTokens`, or leave it out to get the model's own limit.",
  TEXT_BERT_TOKENIZER: 'The model folder needs tokenizer.json (and tokenizer_config.json) of the same model as the graph.',
  TEXT_BERT_WIDTH: 'Check that the graph and config.json belong to the same model.',
} as const;

/** An error with one of this plugin's own codes. */
export function bertError(code: keyof typeof hints, message: string, cause?: unknown): RecloomError {
  return new RecloomError({ code, message, hint: hints[code], cause });
}
