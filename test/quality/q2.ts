/**
 * Protocol: MovieLens-100K, a random tenth of each user (Q2)
 */
import { main } from './run-protocol.js';

await main('q2');
