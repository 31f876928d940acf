import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { guessShop, type ShopGuess } from './guess-shop.js';
import { events } from './index.js';
import { inspectFile } from './inspect-file.js';
import { droppedCounts, folderWith, readAll } from './source.test-support.js';

const guess = async (content: string, name = 'a.csv'): Promise<ShopGuess> =>
  guessShop(await inspectFile(name, { directory: folderWith({ [name]: content }) }));
const columnsOf = (found: ShopGuess): Record<string, string> =>
  Object.fromEntries(Object.entries(found.roles).map(([role, column]) => [role, column.column]));

const root = fileURLToPath(new URL('../../..', import.meta.url));
const shared = join(root, '..', 'shared', 'data');
const sharedIt = existsSync(shared) ? it : it.skip;
if (!existsSync(shared)) console.log(`guess-shop: no ${shared}; its data sets are not tried`);

/** Rows of some days of a small shop; `line` makes one. */
function rows(header: string, line: (row: number) => string, count = 200): string {
  return `${header}\n${Array.from({ length: count }, (_, row) => line(row)).join('\n')}\n`;
}
const day = (row: number): string => `2024-01-${String((row % 28) + 1).padStart(2, '0')}`;

describe('guessShop', () => {
  it('knows Online Retail: every column, cancelled orders, returns, fees, codes in two cases', async () => {
    const found = guessShop(await inspectFile(join(root, 'examples/online-retail/data/transactions.csv.gz')));
    expect(columnsOf(found)).toEqual({
      user: 'CustomerID',
      item: 'StockCode',
      time: 'InvoiceDate',
      title: 'Description',
      price: 'UnitPrice',
      quantity: 'Quantity',
      basket: 'InvoiceNo',
      country: 'Country',
    });
    expect(found).toMatchObject({ rows: 'both', eventType: 'purchase' });
    expect(found.roles.item?.mapping).toEqual({ sql: 'upper("StockCode")' });
    expect(found.rules.map((rule) => [rule.reason, rule.where])).toEqual([
      ['cancelled orders', `"InvoiceNo" LIKE 'C%'`],
      ['returns and corrections', '"Quantity" <= 0'],
      ['without a price', '"UnitPrice" <= 0'],
      ['postage, fees and the like', `NOT regexp_matches("StockCode", '[0-9]')`],
    ]);
    for (const column of Object.values(found.roles)) {
      expect(column.confidence).toBeGreaterThan(0.8);
      expect(column.reason).toMatch(/called ".+"; /);
    }
    expect(found.notes.join(' ')).toMatch(/34\.9 % of the rows have no CustomerID.*differ from others only in case/);
  }, 120_000);

  sharedIt.each([
    ['ml100k-last/train.csv.gz', { user: 'user', item: 'item', rating: 'rating', time: 'timestamp' }, 'events', 'rating'],
    ['ml100k-random/train.csv.gz', { user: 'user', item: 'item', rating: 'rating', time: 'timestamp' }, 'events', 'rating'],
    ['baby-diffmm/train.csv.gz', { user: 'user', item: 'item' }, 'events', 'view'],
    ['beauty-last/train.csv.gz', { user: 'user', item: 'item' }, 'events', 'view'],
    ['beauty-last/item_attributes.csv.gz', { item: 'item', category: 'attribute' }, 'items', undefined],
  ])(
    'knows %s',
    async (path, columns, shape, eventType) => {
      const found = guessShop(await inspectFile(join(shared, path)));
      expect(columnsOf(found)).toEqual(columns);
      expect([found.rows, found.eventType]).toEqual([shape, eventType]);
    },
    60_000,
  );

  it('knows a log of clicks by its words, whatever the column is called', async () => {
    const found = await guess(
      rows(
        'visitor_id,event,product_id,ts,session_id',
        (row) => `v${row % 20},${['view', 'cart', 'purchase'][row % 3]},p${row % 30},17000${String(row).padStart(5, '0')},s${row % 40}`,
      ),
    );
    expect(columnsOf(found)).toEqual({ user: 'visitor_id', type: 'event', item: 'product_id', time: 'ts', basket: 'session_id' });
    expect(found).toMatchObject({ rows: 'events', eventType: undefined, rules: [] });
    const renamed = await guess(
      rows('client,what,ref produit,quand', (row) => `c${row % 20},${['view', 'cart'][row % 2]},p${row % 30},${day(row)}`),
    );
    expect(columnsOf(renamed)).toEqual({ user: 'client', type: 'what', item: 'ref produit', time: 'quand' });
    expect(renamed.roles.type?.reason).toContain('its name says nothing');
    expect(renamed.roles.type?.confidence).toBeLessThan(0.5);
  });

  it('knows a German export with semicolons, and a Spanish, French and Polish one', async () => {
    const german = await guess(
      rows(
        'Kundennummer;Artikelnummer;Bestelldatum;Bestellnummer;Menge;Einzelpreis;Bezeichnung;Warengruppe;Land',
        (row) =>
          `${1000 + (row % 30)};A${row % 25};${day(row)};${5000 + (row % 60)};${(row % 4) + 1};${(row % 25) + 0.5};Schöne Tasse Nummer ${row % 25};${['Küche', 'Bad'][row % 2]};${['DE', 'AT'][row % 2]}`,
      ),
    );
    expect(columnsOf(german)).toEqual({
      user: 'Kundennummer',
      item: 'Artikelnummer',
      time: 'Bestelldatum',
      basket: 'Bestellnummer',
      quantity: 'Menge',
      price: 'Einzelpreis',
      title: 'Bezeichnung',
      category: 'Warengruppe',
      country: 'Land',
    });
    expect(german).toMatchObject({ rows: 'both', eventType: 'purchase' });
    const spanish = await guess(
      rows(
        'id_cliente,id_producto,fecha,cantidad,precio',
        (row) => `${row % 30},${row % 25},${day(row)},${(row % 4) + 1},${(row % 25) + 0.5}`,
      ),
    );
    expect(columnsOf(spanish)).toEqual({ user: 'id_cliente', item: 'id_producto', time: 'fecha', quantity: 'cantidad', price: 'precio' });
    const polish = await guess(
      rows('id_klienta,id_produktu,data_zamówienia,ilość', (row) => `${row % 30},${row % 25},${day(row)},${(row % 4) + 1}`),
    );
    expect(columnsOf(polish)).toEqual({ user: 'id_klienta', item: 'id_produktu', time: 'data_zamówienia', quantity: 'ilość' });
  });

  it('knows a table of items, pictures and all', async () => {
    const found = await guess(
      rows(
        'sku,title,price,stock_note,photo,category',
        (row) => `S-${row},A nice thing number ${row},${row}.5,,images/${row}.jpg,${['home', 'garden'][row % 2]}`,
      ),
    );
    expect(columnsOf(found)).toEqual({ item: 'sku', title: 'title', price: 'price', image: 'photo', category: 'category' });
    expect(found).toMatchObject({ rows: 'items', eventType: undefined });
    expect(found.rowsReason).toContain('every "sku"');
  });

  it('finds a title among numbers by what it holds', async () => {
    const found = await guess(rows('product_id,x1,unit_price', (row) => `${row},The thing called ${row},${row}.25`));
    expect(found.roles.title).toMatchObject({ column: 'x1', confidence: 0.4 });
  });

  it('says when it knows nothing, and when times are ambiguous', async () => {
    const nothing = await guess(rows('a,b', (row) => `${row % 9},${row % 7}`));
    expect(nothing).toMatchObject({ rows: 'unknown', roles: {}, eventType: undefined, rules: [] });
    const ambiguous = await guess(
      rows('user,item,date', (row) => `u${row % 9},i${row % 7},${(row % 12) + 1}/${((row * 5) % 12) + 1}/2024`),
    );
    expect(ambiguous.roles.time?.column).toBe('date');
    expect(ambiguous.notes.join(' ')).toContain('set timeFormat');
  });

  it('quotes names so that a rule can be used as it stands', async () => {
    const csv = rows(
      'user,item,date,"order ""no""",qty',
      (row) => `u${row % 9},i${row % 7},${day(row)},${row % 50 === 0 ? 'C' : ''}${1000 + (row % 50)},${(row % 5) - 1}`,
    );
    const found = await guess(csv);
    expect(columnsOf(found)).toMatchObject({ basket: 'order "no"', quantity: 'qty' });
    expect(found.rules.map((rule) => rule.where)).toEqual([`"order ""no""" LIKE 'C%'`, `"qty" <= 0`]);
    const drop = found.rules.map(({ reason, where }) => ({ reason, where }));
    const { report } = await readAll(
      events,
      { path: 'a.csv', user: 'user', item: 'item', time: 'date', drop },
      folderWith({ 'a.csv': csv }),
    );
    // 4 of the 200 rows carry the C; 80 have a quantity of -1 or 0, those 4 among them.
    expect(droppedCounts(report)).toEqual({ 'cancelled orders': 4, 'returns and corrections': 76 });
  });
});
