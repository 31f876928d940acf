import { definePlugin } from '@recloom/plugin-api';

export default definePlugin({ apiVersion: 1, id: 'repeat', components: [] });
