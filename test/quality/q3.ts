/**
 * Protocol: MovieLens-100K, each user's last rating (Q3)
 */
import { main } from './run-protocol.js';

await main('q3');
