/**
 * Protocol: Amazon Baby, the split of DiffMM (Q5)
 */
import { main } from './run-protocol.js';

await main('q5');
