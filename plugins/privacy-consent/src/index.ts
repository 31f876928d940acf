import { consentToken, definePlugin, definePrivacyFilter, itemField, loggerToken } from '@recloom/plugin-api';
import { purposeOptions } from './options.js';

/** Opens personal columns to the purposes a person has agreed to, and to nothing else. */
export const purpose = definePrivacyFilter({
  id: 'purpose',
  summary: 'Grants history, profile and location by the purposes a person has agreed to; without consent none of them is read.',
  options: purposeOptions,
  needs: { consent: consentToken, logger: loggerToken },
  inputs: {
    category: itemField({
      description: 'What `withhold` looks at; needed only with it.',
      types: ['category', 'text', 'list'],
      optional: true,
    }),
  },
  capabilities: { coldUser: true, coldItem: true },
  stateVersion: 1,
  async create({ name, options, inputs, deps }) {
    const { openPurpose } = await import('./purpose.js');
    return openPurpose(name, options, inputs.category, deps);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'privacy-consent',
  components: [purpose],
  errors: [
    {
      code: 'CONSENT_SERVICE_FAILED',
      summary: 'The consent service failed or gave something else than a list of purposes; nothing personal was granted.',
      hint: "Look at the service's own log: its message is not repeated here, since it may name a person.",
    },
    {
      code: 'CONSENT_FIELD_MISSING',
      summary: 'The field that `withhold` looks at is not there; everything was withheld.',
      hint: 'Give the items the field that `in: category` names.',
    },
  ],
});
