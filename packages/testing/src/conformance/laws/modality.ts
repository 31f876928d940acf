import type { ComponentDefinition, RequestView } from '@recloom/plugin-api';
import {
  type ExtractBatch,
  type FeatureBlock,
  type FeatureRows,
  type ImageReader,
  imageReaderToken,
  recloomError,
  type Warning,
} from '@recloom/plugin-api';
import type { AnyInstance } from '../../host/host.js';
import { brokenPictures, pictureReader, testPicture } from '../../host/pictures.js';
import { hold, type Law, provides } from '../law.js';
import { emptyBlock, extractBatch, queryBatch } from '../probes.js';
import { askedWith, sampleQuery } from '../queries.js';
import type { Subject } from '../subject.js';
import { alike, scopesOf, someRows } from './extractor.js';

const signal = (): AbortSignal => new AbortController().signal;

async function run(instance: AnyInstance, batch: ExtractBatch): Promise<FeatureBlock> {
  const out = emptyBlock(batch.count, instance.width);
  await instance.extract(batch, out);
  return out;
}

function rowOf({ values }: FeatureBlock, width: number, row: number): Float32Array {
  return values.subarray(row * width, (row + 1) * width);
}

function hasInput(definition: ComponentDefinition, accepts: (input: ComponentDefinition['inputs'][string]) => boolean): boolean {
  return Object.values(definition.inputs).some(accepts);
}

/** The features of a batch without some vectors: `lacks` says which. */
function without(batch: ExtractBatch, lacks: (feature: FeatureRows, row: number) => boolean): ExtractBatch {
  const features = Object.fromEntries(
    Object.entries(batch.features ?? {}).map(([name, some]) => [
      name,
      some.map((feature): FeatureRows => {
        const values = feature.values.slice();
        const presence = feature.presence.slice();
        for (let row = 0; row < batch.count; row++) {
          if (!lacks(feature, row)) continue;
          presence[row] = 0;
          values.fill(0, row * feature.width, (row + 1) * feature.width);
        }
        return { ...feature, values, presence };
      }),
    ]),
  );
  const requests = batch.requests?.map((request, row): RequestView => {
    const blocks = Object.values(features).flat();
    return {
      ...request,
      queryVector: (name) => (blocks.find((block) => block.name === name)?.presence[row] === 0 ? undefined : request.queryVector(name)),
    };
  });
  return { ...batch, features, ...(requests === undefined ? {} : { requests }) };
}

const missingModalityStaysAtHome: Law = {
  id: 'EXT-06',
  title: 'a modality that one row lacks changes that row alone',
  law: 'Where one row lacks one of the feature inputs, all other rows are as before and the row stays present while it has another; a new item of which nothing is known is absent, and with `coldItem` one whose features are there is present.',
  appliesTo: (definition) =>
    provides('extractor')(definition) &&
    scopesOf(definition).some((scope) => scope !== 'candidate') &&
    hasInput(definition, (input) => input.kind === 'feature'),
  async run(subject) {
    const scopes = scopesOf(subject.definition).filter((scope) => scope !== 'candidate');
    const { instance } = await subject.open();
    const { width } = instance;
    for (const scope of scopes) {
      const batch = extractBatch(subject, scope, someRows(subject), signal());
      const features = Object.values(batch.features ?? {}).flat();
      hold(features.length > 0, 'It has feature inputs, but none is plugged in; give some in the fixture.');
      const row = someRows(subject).find((candidate) => features.every((feature) => feature.presence[candidate] === 1)) ?? -1;
      hold(row >= 0, 'No sample row has all features; give a fixture (inputs).');
      const whole = await run(instance, batch);
      for (const gone of features) {
        const part = await run(
          instance,
          without(batch, (feature, place) => feature === gone && place === row),
        );
        for (let other = 0; other < batch.count; other++) {
          if (other === row) continue;
          hold(
            part.presence[other] === whole.presence[other],
            `At ${scope} scope the presence of row ${other} depends on what row ${row} lacks.`,
          );
          hold(
            alike(rowOf(part, width, other), rowOf(whole, width, other)),
            `At ${scope} scope the values of row ${other} depend on what row ${row} lacks.`,
          );
        }
        if (features.length > 1) {
          hold(
            whole.presence[row] !== 1 || part.presence[row] === 1,
            `At ${scope} scope a row that lacks one of ${features.length} features is absent.`,
          );
        }
      }
      if (scope === 'query' && askedWith(subject.definition).size === 0) {
        const bare = await run(
          instance,
          without(batch, (_, place) => place === row),
        );
        hold(bare.presence[row] === 0, 'A search without any vector is marked as present.');
      }
    }
    await instance.dispose?.();
    if (scopes.includes('item')) await newItems(subject);
  },
};

async function newItems(subject: Subject): Promise<void> {
  const { grownShop: shop } = subject;
  const { instance } = await subject.open({ shop });
  const [copied, unknown] = [shop.items.rowCount - 2, shop.items.rowCount - 1];
  const batch = extractBatch({ ...subject, shop }, 'item', [0, copied, 3, unknown], signal());
  const bare = await run(instance, batch);
  hold(bare.presence[3] === 0, 'A new item of which nothing is known is marked as present.');
  hold(
    rowOf(bare, instance.width, 3).every((value) => value === 0),
    'A new item of which nothing is known was written.',
  );
  if (subject.definition.capabilities.coldItem === true) {
    // The new item brings the vectors of a known one.
    const known = extractBatch(subject, 'item', someRows(subject), signal());
    const blocks = Object.values(known.features ?? {}).flat();
    const from = someRows(subject).find((row) => blocks.every((block) => block.presence[row] === 1)) ?? 0;
    const features = Object.fromEntries(
      Object.entries(batch.features ?? {}).map(([name, some]) => [
        name,
        some.map((feature, place): FeatureRows => {
          const source = known.features?.[name]?.[place];
          const values = feature.values.slice();
          const presence = feature.presence.slice();
          values.set(source?.values.subarray(from * feature.width, (from + 1) * feature.width) ?? [], feature.width);
          presence[1] = 1;
          return { ...feature, values, presence };
        }),
      ]),
    );
    const full = await run(instance, { ...batch, features });
    hold(full.presence[1] === 1, 'With the capability `coldItem`, a new item whose features are there is absent.');
    hold(full.presence[3] === 0, 'A new item of which nothing is known is present beside one whose features are there.');
  }
  await instance.dispose?.();
}

const asksDecide: Law = {
  id: 'EXT-07',
  title: 'a search is present when it brings what the extractor asks for',
  law: 'Words alone, a picture alone, both or neither: a row is present exactly when its request brings one of what `asks` names, whatever its neighbours bring; with both, `queryWeights` decides how much each counts.',
  appliesTo: (definition) =>
    provides('extractor')(definition) &&
    scopesOf(definition).includes('query') &&
    askedWith(definition).size > 0 &&
    !hasInput(definition, (input) => input.kind === 'feature'),
  async run(subject) {
    const { instance } = await subject.open();
    const { width } = instance;
    const asked = askedWith(subject.definition);
    const kinds = ['neither', 'text', 'image', 'both'] as const;
    const queries = kinds.map((kind) => sampleQuery(subject, 1, kind));
    const together = await run(instance, queryBatch(subject, queries, signal()));
    for (const [row, kind] of kinds.entries()) {
      const brings = kind === 'both' ? asked.size > 0 : kind !== 'neither' && asked.has(kind);
      const what = { neither: 'neither words nor a picture', text: 'words alone', image: 'a picture alone', both: 'words and a picture' }[
        kind
      ];
      hold(together.presence[row] === (brings ? 1 : 0), `A search with ${what} is ${brings ? 'absent' : 'marked as present'}.`);
      const alone = await run(instance, queryBatch(subject, [queries[row] as RequestView], signal()));
      hold(alone.presence[0] === together.presence[row], `The presence of a search with ${what} depends on its neighbours.`);
      hold(alike(rowOf(alone, width, 0), rowOf(together, width, row)), `The values of a search with ${what} depend on its neighbours.`);
    }
    if (asked.size === 2) {
      const weighted = await run(
        instance,
        queryBatch(
          subject,
          [
            sampleQuery(subject, 1, 'both', { queryWeights: { text: 1, image: 0 } }),
            sampleQuery(subject, 1, 'both', { queryWeights: { text: 0, image: 1 } }),
          ],
          signal(),
        ),
      );
      const [words, picture, both] = [1, 2, 3].map((row) => rowOf(together, width, row)) as [Float32Array, Float32Array, Float32Array];
      hold(alike(rowOf(weighted, width, 0), words), 'With all weight on the words, the picture still counts.');
      hold(alike(rowOf(weighted, width, 1), picture), 'With all weight on the picture, the words still count.');
      hold(!alike(both, words) && !alike(both, picture), 'Of words and a picture, only one counts when no weights are given.');
    }
    await instance.dispose?.();
  },
};

const zerosAreAbsent: Law = {
  id: 'EXT-08',
  title: 'a vector of zeros is never present',
  law: 'An embedding of a text, a picture or several modalities that is present is not all zeros: zeros are near to everything and nothing.',
  appliesTo: (definition) =>
    provides('extractor')(definition) &&
    ['text', 'image', 'mixed'].includes(definition.capabilities.modality ?? '') &&
    scopesOf(definition).some((scope) => scope !== 'candidate'),
  async run(subject) {
    const { instance } = await subject.open();
    for (const scope of scopesOf(subject.definition)) {
      if (scope === 'candidate') continue;
      const rows = someRows(subject);
      const block = await run(instance, extractBatch(subject, scope, rows, signal()));
      rows.forEach((_, row) => {
        hold(
          block.presence[row] !== 1 || rowOf(block, instance.width, row).some((value) => value !== 0),
          `At ${scope} scope row ${row} is present with nothing but zeros.`,
        );
      });
    }
    await instance.dispose?.();
  },
};

const canary = 'zz-canary-4711';

/** References that lead nowhere good, by what is wrong with them. */
function badReferences(): readonly string[] {
  return [
    `missing:${canary}`,
    `refused:${canary}`,
    `failing:${canary}`,
    `too-large:${canary}`,
    ...Object.keys(brokenPictures()).map((kind) => `broken:${kind}`),
  ];
}

/** The reader of the fixture, or the kit's, which also knows the bad references. */
function troubledReader(subject: Subject): ImageReader {
  const own = subject.provided(imageReaderToken);
  const trouble = pictureReader();
  return {
    read(reference, limits, readSignal) {
      readSignal.throwIfAborted();
      if (reference.startsWith('too-large:')) throw recloomError('RECLOOM_DAT_IMAGE_TOO_LARGE', limits);
      const kits = own === undefined || /^(?:missing|refused|failing|broken|picture):/.test(reference);
      return (kits ? trouble : own).read(reference, limits, readSignal);
    },
  };
}

const takesPictures = (definition: ComponentDefinition): boolean =>
  provides('extractor')(definition) &&
  hasInput(definition, (input) => input.kind === 'item-field' && input.types?.includes('image') === true);

const unreadablePictures: Law = {
  id: 'EXT-09',
  title: 'a picture that cannot be read is a missing one',
  law: 'A picture of an item that is missing, refused, too large or no picture at all makes its row absent and leaves a warning without its reference; the build goes on, and the rows beside it are as before.',
  appliesTo: (definition) => takesPictures(definition) && scopesOf(definition).includes('item'),
  async run(subject) {
    const { instance, host } = await subject.open({}, [[imageReaderToken, troubledReader(subject)]]);
    const { width } = instance;
    const bad = badReferences();
    const names = Object.entries(subject.definition.inputs).flatMap(([name, { types }]) =>
      types?.includes('image') === true ? [name] : [],
    );
    // One good row between any two bad ones.
    const rows = Array.from({ length: 2 * bad.length + 1 }, (_, place) => (place * 2) % subject.shop.items.rowCount);
    const batch = extractBatch(subject, 'item', rows, signal());
    const before = await run(instance, batch);
    hold(before.presence.includes(1), 'Not one of the sample pictures was read; give a fixture (inputs, shop or services).');
    const earlier = host.warnings.length;
    const columns = Object.fromEntries(
      Object.entries(batch.columns).map(([name, some]) => [
        name,
        !names.includes(name)
          ? some
          : some.map((column) =>
              column.type === 'image' || column.type === 'text'
                ? { ...column, values: column.values.map((value, row) => (row % 2 === 1 ? (bad[(row - 1) / 2] ?? value) : value)) }
                : column,
            ),
      ]),
    );
    const after = await run(instance, { ...batch, columns });
    rows.forEach((_, row) => {
      if (row % 2 === 1) {
        const kind = bad[(row - 1) / 2]?.replace(`:${canary}`, '');
        hold(after.presence[row] === 0, `A picture that cannot be read (${kind}) is marked as present.`);
        hold(
          rowOf(after, width, row).every((value) => value === 0),
          `A picture that cannot be read (${kind}) was written.`,
        );
        return;
      }
      hold(
        after.presence[row] === before.presence[row] && alike(rowOf(after, width, row), rowOf(before, width, row)),
        'A picture that cannot be read changes the rows beside it.',
      );
    });
    await instance.dispose?.();
    const warnings = host.warnings.slice(earlier);
    hold(warnings.length > 0, 'Pictures that cannot be read leave no warning.');
    hold(!JSON.stringify(warnings).includes(canary), 'A warning quotes the reference of a picture.');
  },
};

const unreadableQueryPictures: Law = {
  id: 'EXT-10',
  title: 'a search whose picture cannot be read is answered by its words',
  law: 'A picture of a search that cannot be read makes the row absent, or with words beside it the row of the words alone; there is a warning and never an error, and other searches of the batch are as before.',
  appliesTo: (definition) => takesPictures(definition) && scopesOf(definition).includes('query') && askedWith(definition).has('image'),
  async run(subject) {
    const { instance, host } = await subject.open({}, [[imageReaderToken, troubledReader(subject)]]);
    const { width } = instance;
    const words = askedWith(subject.definition).has('text');
    const own: Warning[] = [];
    const good = sampleQuery(subject, 0, 'image', { image: testPicture(5) });
    const expected = await run(instance, queryBatch(subject, [good, sampleQuery(subject, 0, 'text')], signal()));
    const earlier = host.warnings.length;
    for (const image of [...badReferences(), ...Object.values(brokenPictures())]) {
      const batch = queryBatch(
        subject,
        [good, sampleQuery(subject, 0, 'image', { image }), sampleQuery(subject, 0, 'both', { image })],
        signal(),
      );
      const warn = (index: number, warning: Warning): void => {
        hold(index === 1 || index === 2, 'The warning of a picture that cannot be read goes to another search.');
        own.push(warning);
      };
      const found = await run(instance, { ...batch, warn });
      const kind = typeof image === 'string' ? image.replace(`:${canary}`, '') : 'bytes';
      hold(
        found.presence[0] === 1 && alike(rowOf(found, width, 0), rowOf(expected, width, 0)),
        `A picture that cannot be read (${kind}) changes the searches beside it.`,
      );
      hold(found.presence[1] === 0, `A search with nothing but a picture that cannot be read (${kind}) is marked as present.`);
      if (words) {
        hold(
          found.presence[2] === 1 && alike(rowOf(found, width, 2), rowOf(expected, width, 1)),
          `Words beside a picture that cannot be read (${kind}) are not answered as words alone.`,
        );
      } else hold(found.presence[2] === 0, `A picture that cannot be read (${kind}) is marked as present.`);
    }
    const warnings = [...host.warnings.slice(earlier), ...own];
    hold(warnings.length > 0, 'Pictures of searches that cannot be read leave no warning.');
    hold(!JSON.stringify(warnings).includes(canary), 'A warning quotes the reference of a picture.');
    await instance.dispose?.();
  },
};

/** Laws of extractors over features, words and pictures. */
export const modalityLaws: readonly Law[] = [
  missingModalityStaysAtHome,
  asksDecide,
  zerosAreAbsent,
  unreadablePictures,
  unreadableQueryPictures,
];
