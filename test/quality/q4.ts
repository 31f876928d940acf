/**
 * Protocol: Amazon Beauty, each user's last review (Q4)
 */
import { main } from './run-protocol.js';

await main('q4');
