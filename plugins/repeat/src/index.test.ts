import { describeConformance } from '@recloom/testing/vitest';
import plugin from './index.js';

describeConformance(plugin);
