import { describeConformance } from '@recloom/testing/vitest';
import setup from './conformance.setup.fixture.js';
import plugin from './index.js';

describeConformance(plugin, { ...setup, setupModule: new URL('./conformance.setup.fixture.ts', import.meta.url) });
