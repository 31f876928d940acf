/**
 * Protocol: Online Retail, what customers take next that is new to them (Q1)
 */
import { main } from './run-protocol.js';

await main('q1');
