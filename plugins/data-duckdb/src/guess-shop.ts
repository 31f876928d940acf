import type { ColumnProfile, FileProfile } from './inspect-file.js';
import { quoteIdentifier, quoteText } from './sql-text.js';

/** What a column can be to a shop. */
export type ShopRole =
  | 'user'
  | 'item'
  | 'time'
  | 'type'
  | 'title'
  | 'price'
  | 'quantity'
  | 'category'
  | 'basket'
  | 'country'
  | 'rating'
  | 'image';

/** The column that a role was given to, and why. */
export interface GuessedColumn {
  readonly column: string;
  /** For the config: the column, or an expression where the column alone would not do. */
  readonly mapping: string | { readonly sql: string };
  /** 0 to 1. */
  readonly confidence: number;
  /** One line for a person. */
  readonly reason: string;
}

/** A rule for `drop:` that the data suggest. */
export interface ShopRule {
  readonly reason: string;
  readonly where: string;
  /** Share of the rows looked at, 0 to 1. */
  readonly share: number;
}

/** What a file seems to hold, role by role. */
export interface ShopGuess {
  readonly roles: Readonly<Partial<Record<ShopRole, GuessedColumn>>>;
  /** What a row is: an event, an item, or an event that describes its item along the way; `unknown` when no item id was found. */
  readonly rows: 'events' | 'items' | 'both' | 'unknown';
  readonly rowsReason: string;
  /** The type of every event, when no column tells it. */
  readonly eventType: string | undefined;
  readonly rules: readonly ShopRule[];
  /** Things a person should look at, one line each. */
  readonly notes: readonly string[];
}

/** Names by role, lower case without separators and accents: English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish. */
const names: Readonly<Record<ShopRole, readonly string[]>> = {
  user: [
    'user',
    'userid',
    'uid',
    'customer',
    'customerid',
    'custid',
    'client',
    'clientid',
    'visitor',
    'visitorid',
    'member',
    'memberid',
    'account',
    'accountid',
    'buyer',
    'buyerid',
    'shopper',
    'shopperid',
    'person',
    'personid',
    'reviewer',
    'reviewerid',
    'customernumber',
    'customerno',
    'customerkey',
    'kunde',
    'kundeid',
    'kundennummer',
    'kundennr',
    'nutzer',
    'nutzerid',
    'benutzer',
    'benutzerid',
    'idclient',
    'utilisateur',
    'idutilisateur',
    'cliente',
    'idcliente',
    'usuario',
    'idusuario',
    'utente',
    'idutente',
    'klant',
    'klantid',
    'klantnummer',
    'gebruiker',
    'klient',
    'idklienta',
    'uzytkownik',
    'kund',
    'kundid',
    'anvandare',
  ],
  item: [
    'item',
    'itemid',
    'product',
    'productid',
    'prodid',
    'sku',
    'stockcode',
    'article',
    'articleid',
    'articleno',
    'asin',
    'ean',
    'gtin',
    'upc',
    'isbn',
    'movie',
    'movieid',
    'book',
    'bookid',
    'song',
    'songid',
    'track',
    'trackid',
    'offer',
    'offerid',
    'listing',
    'listingid',
    'productcode',
    'productsku',
    'itemcode',
    'itemsku',
    'productkey',
    'variantid',
    'artikel',
    'artikelid',
    'artikelnummer',
    'artikelnr',
    'produkt',
    'produktid',
    'produktnummer',
    'produit',
    'idproduit',
    'refproduit',
    'reference',
    'codeproduit',
    'producto',
    'idproducto',
    'articulo',
    'idarticulo',
    'codigoproducto',
    'prodotto',
    'idprodotto',
    'articolo',
    'codicearticolo',
    'produto',
    'idproduto',
    'codigoproduto',
    'productnummer',
    'towar',
    'idproduktu',
    'vara',
  ],
  time: [
    'time',
    'timestamp',
    'ts',
    'date',
    'datetime',
    'at',
    'createdat',
    'created',
    'eventtime',
    'eventdate',
    'orderdate',
    'invoicedate',
    'purchasedate',
    'purchasedat',
    'orderedat',
    'occurredat',
    'reviewtime',
    'unixreviewtime',
    'unixtime',
    'transactiondate',
    'transactiontime',
    'when',
    'datum',
    'zeit',
    'zeitpunkt',
    'zeitstempel',
    'uhrzeit',
    'bestelldatum',
    'kaufdatum',
    'rechnungsdatum',
    'heure',
    'horodatage',
    'datecommande',
    'dateachat',
    'fecha',
    'hora',
    'fechapedido',
    'fechacompra',
    'data',
    'dataora',
    'dataordine',
    'datapedido',
    'datacompra',
    'orderdatum',
    'tijd',
    'tijdstip',
    'czas',
    'datazamowienia',
    'tid',
    'tidpunkt',
  ],
  type: [
    'type',
    'event',
    'eventtype',
    'eventname',
    'action',
    'actiontype',
    'kind',
    'behavior',
    'behaviour',
    'behaviortype',
    'interaction',
    'interactiontype',
    'activity',
    'ereignis',
    'ereignistyp',
    'aktion',
    'typ',
    'art',
    'evenement',
    'typeevenement',
    'evento',
    'tipoevento',
    'tipo',
    'accion',
    'azione',
    'acao',
    'gebeurtenis',
    'zdarzenie',
    'handelse',
  ],
  title: [
    'title',
    'name',
    'description',
    'productname',
    'producttitle',
    'itemname',
    'itemtitle',
    'itemdescription',
    'productdescription',
    'desc',
    'movietitle',
    'articlename',
    'titel',
    'bezeichnung',
    'beschreibung',
    'artikelname',
    'artikelbezeichnung',
    'produktname',
    'titre',
    'nom',
    'nomproduit',
    'designation',
    'libelle',
    'titulo',
    'nombre',
    'descripcion',
    'nombreproducto',
    'titolo',
    'nome',
    'descrizione',
    'nomeprodotto',
    'descricao',
    'nomeproduto',
    'naam',
    'productnaam',
    'omschrijving',
    'nazwa',
    'opis',
    'tytul',
    'namn',
    'benamning',
  ],
  price: [
    'price',
    'unitprice',
    'amount',
    'cost',
    'listprice',
    'saleprice',
    'itemprice',
    'productprice',
    'unitcost',
    'pricegbp',
    'priceusd',
    'priceeur',
    'msrp',
    'rrp',
    'preis',
    'einzelpreis',
    'stueckpreis',
    'verkaufspreis',
    'betrag',
    'prix',
    'prixunitaire',
    'montant',
    'precio',
    'preciounitario',
    'importe',
    'prezzo',
    'prezzounitario',
    'importo',
    'preco',
    'precounitario',
    'valor',
    'prijs',
    'stukprijs',
    'bedrag',
    'cena',
    'cenajednostkowa',
    'pris',
    'styckpris',
  ],
  quantity: [
    'quantity',
    'qty',
    'count',
    'units',
    'unitssold',
    'orderquantity',
    'orderqty',
    'itemcount',
    'pieces',
    'numitems',
    'menge',
    'anzahl',
    'stueckzahl',
    'stuckzahl',
    'quantite',
    'qte',
    'nombrearticles',
    'cantidad',
    'unidades',
    'quantita',
    'qta',
    'quantidade',
    'qtde',
    'aantal',
    'hoeveelheid',
    'ilosc',
    'liczba',
    'antal',
    'kvantitet',
  ],
  category: [
    'category',
    'categoryid',
    'categoryname',
    'categorycode',
    'department',
    'departmentname',
    'genre',
    'genres',
    'class',
    'productcategory',
    'producttype',
    'productgroup',
    'itemcategory',
    'section',
    'aisle',
    'brand',
    'attribute',
    'kategorie',
    'warengruppe',
    'produktgruppe',
    'abteilung',
    'marke',
    'categorie',
    'rayon',
    'famille',
    'marque',
    'categoria',
    'familia',
    'seccion',
    'marca',
    'reparto',
    'rubriek',
    'afdeling',
    'merk',
    'kategoria',
    'marka',
    'kategori',
  ],
  basket: [
    'basket',
    'basketid',
    'order',
    'orderid',
    'orderno',
    'ordernumber',
    'invoice',
    'invoiceid',
    'invoiceno',
    'invoicenumber',
    'transaction',
    'transactionid',
    'cart',
    'cartid',
    'session',
    'sessionid',
    'receipt',
    'receiptid',
    'visit',
    'visitid',
    'checkout',
    'checkoutid',
    'usersession',
    'bestellung',
    'bestellnummer',
    'bestellid',
    'auftrag',
    'auftragsnummer',
    'rechnung',
    'rechnungsnummer',
    'rechnungsnr',
    'warenkorb',
    'sitzung',
    'commande',
    'idcommande',
    'numerocommande',
    'facture',
    'panier',
    'pedido',
    'idpedido',
    'numeropedido',
    'factura',
    'carrito',
    'ordine',
    'idordine',
    'fattura',
    'carrello',
    'scontrino',
    'fatura',
    'bestelling',
    'bestelnummer',
    'factuur',
    'zamowienie',
    'idzamowienia',
    'faktura',
    'koszyk',
    'bestallning',
    'ordernummer',
  ],
  country: [
    'country',
    'countrycode',
    'countryname',
    'nation',
    'market',
    'region',
    'land',
    'laendercode',
    'landercode',
    'staat',
    'pays',
    'codepays',
    'pais',
    'codigopais',
    'paese',
    'nazione',
    'landcode',
    'kraj',
    'kodkraju',
    'shippingcountry',
    'billingcountry',
  ],
  rating: [
    'rating',
    'stars',
    'score',
    'overall',
    'reviewscore',
    'reviewrating',
    'starrating',
    'ratingvalue',
    'bewertung',
    'sterne',
    'note',
    'etoiles',
    'evaluation',
    'valoracion',
    'puntuacion',
    'estrellas',
    'valutazione',
    'voto',
    'stelle',
    'avaliacao',
    'nota',
    'beoordeling',
    'ocena',
    'betyg',
  ],
  image: [
    'image',
    'imageurl',
    'imagepath',
    'picture',
    'photo',
    'photourl',
    'img',
    'imgurl',
    'thumbnail',
    'thumb',
    'bild',
    'bildurl',
    'foto',
    'imagen',
    'urlimagen',
    'immagine',
    'imagem',
    'afbeelding',
    'zdjecie',
    'obraz',
  ],
};

const eventWords = new Set([
  'view',
  'views',
  'click',
  'clicks',
  'cart',
  'addtocart',
  'purchase',
  'buy',
  'order',
  'transaction',
  'rating',
  'wishlist',
  'favorite',
  'favourite',
  'removefromcart',
  'checkout',
  'pageview',
  'pv',
  'fav',
  'like',
  'impression',
  'kauf',
  'ansicht',
  'achat',
  'vue',
  'compra',
  'vista',
  'acquisto',
  'aankoop',
  'zakup',
  'kop',
  'detail',
  'play',
  'search',
]);

const roles = Object.keys(names) as ShopRole[];

/** Lower case, accents off, letters and digits only. */
function plain(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/[\u0300-\u036f]/g, '')
    .replaceAll('ł', 'l')
    .replaceAll('ß', 'ss')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '');
}

/** The words of a column name: `orders.customer_id` and `CustomerID` both end in customer, id. */
function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .split(/[^\p{L}\p{N}]+/u)
    .map(plain)
    .filter((word) => word !== '');
}

/** How well a name speaks for a role, 0 to 1: 1 the whole name, less for its last words or a part of it. */
function nameScore(role: ShopRole, column: string): number {
  const known = new Set(names[role]);
  const words = wordsOf(column);
  const whole = plain(column);
  if (known.has(whole)) return 1;
  for (let from = 1; from < words.length; from++) if (known.has(words.slice(from).join(''))) return 0.85;
  for (let to = words.length - 1; to > 0; to--) if (known.has(words.slice(0, to).join(''))) return 0.6;
  return 0;
}

function isNumber(column: ColumnProfile): boolean {
  return /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL)/.test(column.type);
}

function isText(column: ColumnProfile): boolean {
  return column.type === 'VARCHAR' || column.type.startsWith('ENUM');
}

/** Whether a column's values could play a role, 0 to 1; 0 rules it out whatever its name. */
function valueScore(role: ShopRole, column: ColumnProfile, profile: FileProfile): number {
  const rows = Math.max(1, profile.rowsSampled);
  const filled = 1 - column.nullShare;
  if (filled <= 0) return 0;
  const spread = column.distinctCount / Math.max(1, rows * filled);
  const isTime = column.time !== undefined && (!isNumber(column) || nameScore('time', column.name) > 0);
  const isId =
    column.wordsShare < 0.2 &&
    column.averageLength <= 64 &&
    column.negativeShare === 0 &&
    (column.integerShare > 0.99 || !isNumber(column)) &&
    !isTime;
  switch (role) {
    case 'user':
      return isId && column.distinctCount > 1 ? (spread < 0.9 ? 0.8 : 0.4) : 0;
    case 'item':
      return isId && column.distinctCount > 1 ? 0.8 : 0;
    case 'basket':
      return isId && column.distinctCount > 1 && spread < 0.999 ? 0.7 : 0;
    case 'time':
      return column.time === undefined ? 0 : isNumber(column) ? 0.7 : 1;
    case 'type': {
      if (!isText(column) || column.distinctCount > 50) return 0;
      const known = column.examples.filter((value) => eventWords.has(plain(value))).length;
      return known > 0 ? 1 : column.wordsShare < 0.2 ? 0.3 : 0;
    }
    case 'title':
      if (!isText(column) || isTime || column.imageShare > 0.5) return 0;
      return column.wordsShare > 0.5 && column.distinctCount > 20 ? 1 : column.averageLength >= 4 && column.distinctCount > 1 ? 0.4 : 0;
    case 'price':
      return isNumber(column) && !isTime && column.negativeShare < 0.2 ? (column.integerShare < 0.9 ? 1 : 0.5) : 0;
    case 'quantity':
      return isNumber(column) && !isTime && column.integerShare > 0.9 && spread < 0.5 ? 0.9 : 0;
    case 'category':
      if (isTime || column.distinctCount < 2) return 0;
      return spread < 0.2 || column.distinctCount <= 50 ? (isText(column) ? 0.9 : 0.4) : column.type.endsWith('[]') ? 0.8 : 0.2;
    case 'country':
      return isText(column) && column.distinctCount <= 260 && column.imageShare === 0 ? 0.9 : 0;
    case 'rating': {
      const least = Number(column.min);
      const most = Number(column.max);
      return isNumber(column) && !isTime && least >= 0 && most <= 100 && column.distinctCount <= 101 ? (most <= 10 ? 1 : 0.4) : 0;
    }
    case 'image':
      return column.imageShare > 0.5 ? 1 : isText(column) && /^(https?:\/\/|\/|\.\/)/.test(column.examples[0] ?? '') ? 0.4 : 0;
  }
}

/** Roles whose values alone are telling enough when the name says nothing. */
const telling: ReadonlySet<ShopRole> = new Set(['time', 'type', 'title', 'image']);

/**
 * Guesses what a shop's file holds, from names in several languages and from the values: which column plays which role, whether
 * rows are events or items, and which rows should be dropped. Every guess has a reason to show.
 */
export function guessShop(profile: FileProfile): ShopGuess {
  const candidates: {
    readonly role: ShopRole;
    readonly column: ColumnProfile;
    readonly name: number;
    readonly value: number;
    readonly score: number;
  }[] = [];
  for (const column of profile.columns) {
    for (const role of roles) {
      const value = valueScore(role, column, profile);
      if (value === 0) continue;
      const name = nameScore(role, column.name);
      if (name === 0 && !(telling.has(role) && value === 1)) continue;
      candidates.push({ role, column, name, value, score: name === 0 ? 0.4 : 0.65 * name + 0.35 * value });
    }
  }
  // Stable: equal scores keep the order of the file's columns.
  candidates.sort((left, right) => right.score - left.score);
  const found: Partial<Record<ShopRole, GuessedColumn>> = {};
  const taken = new Map<string, ColumnProfile>();
  for (const { role, column, name, value, score } of candidates) {
    if (found[role] !== undefined || taken.has(column.name)) continue;
    taken.set(column.name, column);
    found[role] = {
      column: column.name,
      mapping: mappingOf(role, column),
      confidence: Math.round(score * 100) / 100,
      reason: reasonOf(role, column, name, value),
    };
  }
  const profileOf = (role: ShopRole): ColumnProfile | undefined => {
    const guess = found[role];
    return guess === undefined ? undefined : taken.get(guess.column);
  };
  const { rows, rowsReason } = shapeOf(found, profileOf('item'), profile);
  const time = profileOf('time');
  const notes: string[] = [];
  if (time?.time === 'ambiguous')
    notes.push(`The times in "${time.name}" can be read with the day or with the month first: set timeFormat.`);
  const user = profileOf('user');
  if (user !== undefined && user.nullShare > 0)
    notes.push(`${percent(user.nullShare)} of the rows have no ${user.name}; they stay as events of nobody.`);
  const item = profileOf('item');
  if (item !== undefined && item.distinctIgnoringCase < item.distinctCount) {
    notes.push(
      `${item.distinctCount - item.distinctIgnoringCase} codes in "${item.name}" differ from others only in case; they are joined by upper().`,
    );
  }
  if (profile.encoding !== 'utf-8') notes.push(`The file is not UTF-8; it is read as ${profile.encoding}.`);
  return {
    roles: found,
    rows,
    rowsReason,
    eventType:
      rows === 'items' || rows === 'unknown' || found.type !== undefined
        ? undefined
        : found.rating !== undefined
          ? 'rating'
          : found.price !== undefined || found.quantity !== undefined || found.basket !== undefined
            ? 'purchase'
            : 'view',
    rules: rulesOf(found, profileOf),
    notes,
  };
}

function mappingOf(role: ShopRole, column: ColumnProfile): string | { readonly sql: string } {
  return role === 'item' && column.distinctIgnoringCase < column.distinctCount
    ? { sql: `upper(${quoteIdentifier(column.name)})` }
    : column.name;
}

function reasonOf(role: ShopRole, column: ColumnProfile, name: number, value: number): string {
  const called =
    name === 1 ? `it is called "${column.name}"` : name > 0 ? `its name "${column.name}" holds the word` : 'its name says nothing';
  const holds: Readonly<Record<ShopRole, string>> = {
    user: `${column.distinctCount} different ids`,
    item: `${column.distinctCount} different ids`,
    basket: `${column.distinctCount} different ids`,
    time: column.time === undefined || column.time === 'timestamp' ? 'its values are times' : `its values are times (${column.time})`,
    type: `${column.distinctCount} different words${value === 1 ? ', such as shops use for events' : ''}`,
    title: column.wordsShare > 0.5 ? 'its values are words' : 'its values are text',
    price: `its values are numbers${column.integerShare < 0.9 ? ' with a fraction' : ''}`,
    quantity: 'its values are whole numbers',
    category: `${column.distinctCount} different values that repeat`,
    country: `${column.distinctCount} different values`,
    rating: `its values lie between ${column.min} and ${column.max}`,
    image: column.imageShare > 0.5 ? 'its values are names of pictures' : 'its values are addresses',
  };
  return `${called}; ${holds[role]}`;
}

function shapeOf(
  found: Readonly<Partial<Record<ShopRole, GuessedColumn>>>,
  item: ColumnProfile | undefined,
  profile: FileProfile,
): { readonly rows: ShopGuess['rows']; readonly rowsReason: string } {
  if (item === undefined) return { rows: 'unknown', rowsReason: 'no column looks like an item id' };
  const happens = found.user !== undefined || found.time !== undefined || found.basket !== undefined || found.type !== undefined;
  const describes = (['title', 'price', 'category', 'image'] as const).filter((role) => found[role] !== undefined);
  const isUnique = item.distinctCount >= profile.rowsSampled * (1 - item.nullShare) && profile.rowsSampled > 1;
  if (found.user === undefined && found.basket === undefined && (isUnique || (!happens && describes.length > 0))) {
    return {
      rows: 'items',
      rowsReason: isUnique ? `every "${item.name}" stands in one row` : 'rows describe items, and nobody does anything in them',
    };
  }
  if (!happens) return { rows: 'unknown', rowsReason: 'rows name items, but neither a person, a time nor an order' };
  return describes.length > 0
    ? { rows: 'both', rowsReason: `rows say who did something when, and describe the item (${describes.join(', ')})` }
    : { rows: 'events', rowsReason: 'rows say who did something with an item' };
}

function rulesOf(
  found: Readonly<Partial<Record<ShopRole, GuessedColumn>>>,
  profileOf: (role: ShopRole) => ColumnProfile | undefined,
): ShopRule[] {
  const rules: ShopRule[] = [];
  const basket = profileOf('basket');
  if (basket !== undefined && basket.integerShare > 0.5) {
    for (const { letter, share } of basket.letterPrefixes) {
      const reason = letter === 'C' ? 'cancelled orders' : letter === 'R' ? 'returned orders' : `orders marked ${letter}`;
      if (share < 0.5) rules.push({ reason, where: `${quoteIdentifier(basket.name)} LIKE ${quoteText(`${letter}%`)}`, share });
    }
  }
  const quantity = profileOf('quantity');
  const price = profileOf('price');
  if (quantity !== undefined && quantity.negativeShare + quantity.zeroShare > 0) {
    rules.push({
      reason: 'returns and corrections',
      where: `${quoteIdentifier(quantity.name)} <= 0`,
      share: quantity.negativeShare + quantity.zeroShare,
    });
  }
  if (price !== undefined && found.quantity !== undefined && price.negativeShare + price.zeroShare > 0) {
    rules.push({ reason: 'without a price', where: `${quoteIdentifier(price.name)} <= 0`, share: price.negativeShare + price.zeroShare });
  }
  const item = profileOf('item');
  if (item !== undefined && item.digitlessShare > 0 && item.digitlessShare < 0.1) {
    rules.push({
      reason: 'postage, fees and the like',
      where: `NOT regexp_matches(${quoteIdentifier(item.name)}, '[0-9]')`,
      share: item.digitlessShare * (1 - item.nullShare),
    });
  }
  return rules;
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}
