import { describeConformance } from '@recloom/testing/vitest';
import setup, { linear, personal } from './conformance.setup.fixture.js';
import plugin from './index.js';

const setupModule = new URL('./conformance.setup.fixture.ts', import.meta.url);

describeConformance(plugin, { ...setup, setupModule });

// The other two ways a model is run: on the kernels, and request by request.
describeConformance({ ...plugin, id: 'scorer-onnx, kernels' }, { ...setup, fixtures: { model: linear }, setupModule });
describeConformance({ ...plugin, id: 'scorer-onnx, per request' }, { ...setup, fixtures: { model: personal }, setupModule });
