import { consentToken } from '@recloom/plugin-api';
import { consentFrom } from '@recloom/testing';
import { describeConformance } from '@recloom/testing/vitest';
import plugin from './index.js';

describeConformance(plugin, {
  provide: [[consentToken, consentFrom({ 'user-00000': ['personalisation'] })]],
  fixtures: { purpose: { options: { withhold: ['garden'] }, inputs: { category: 'item.category' } } },
});
