import { defineDataSource, definePlugin } from '@recloom/plugin-api';
import { eventsOptions, tableOptions } from './options.js';
import { pluginErrors } from './read-error.js';

export { type GuessedColumn, guessShop, type ShopGuess, type ShopRole, type ShopRule } from './guess-shop.js';
export { type ColumnProfile, type FileProfile, inspectFile } from './inspect-file.js';

/** Items from files or one SELECT; rows of one id are joined. */
export const items = defineDataSource({
  id: 'items',
  summary: 'Items from CSV, Parquet, JSON or one SELECT, through DuckDB.',
  options: tableOptions,
  capabilities: { data: 'items', deterministic: true },
  stateVersion: 1,
  async create({ options, directory }) {
    const { TableSource } = await import('./table-source.js');
    return new TableSource('items', options, directory);
  },
});

/** Events from files or one SELECT, in the order of the source. */
export const events = defineDataSource({
  id: 'events',
  summary: 'Events from CSV, Parquet, JSON or one SELECT, through DuckDB.',
  options: eventsOptions,
  capabilities: { data: 'events', deterministic: true },
  stateVersion: 1,
  async create({ options, directory }) {
    const { EventsSource } = await import('./events-source.js');
    return new EventsSource(options, directory);
  },
});

/** Users from files or one SELECT; rows of one id are joined. */
export const users = defineDataSource({
  id: 'users',
  summary: 'Users from CSV, Parquet, JSON or one SELECT, through DuckDB.',
  options: tableOptions,
  capabilities: { data: 'users', deterministic: true },
  stateVersion: 1,
  async create({ options, directory }) {
    const { TableSource } = await import('./table-source.js');
    return new TableSource('users', options, directory);
  },
});

export default definePlugin({ apiVersion: 1, id: 'data-duckdb', components: [items, events, users], errors: pluginErrors });
