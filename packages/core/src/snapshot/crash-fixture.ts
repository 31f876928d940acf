import { SnapshotStore } from './snapshot-store.js';
console.log(new SnapshotStore('/tmp/x').root);
