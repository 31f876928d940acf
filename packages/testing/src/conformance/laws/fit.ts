import { digest } from '../digest.js';
import { hold, type Law } from '../law.js';

const fitted = ({ fit }: { readonly fit?: unknown }): boolean => fit !== undefined;

const sameBytes: Law = {
  id: 'FIT-01',
  title: 'fitting twice gives the same bytes',
  law: 'The same data, options and seed give the same state to the byte, so that snapshots can be compared and builds resumed.',
  appliesTo: fitted,
  async run(subject) {
    const first = await subject.host().fit(subject.definition, subject.setup);
    const second = await subject.host().fit(subject.definition, subject.setup);
    hold(Object.keys(first).join() === Object.keys(second).join(), 'The tensors of two fits have other names or another order.');
    for (const name of Object.keys(first)) {
      hold(digest(first[name]) === digest(second[name]), `The tensor "${name}" differs between two fits on the same data.`);
    }
  },
};

const wellFormed: Law = {
  id: 'FIT-02',
  title: 'the state is well formed',
  law: 'Every tensor has a name that a file can carry, a shape of whole numbers, and exactly as many values as its shape says.',
  appliesTo: fitted,
  async run(subject) {
    for (const [name, { shape, data }] of Object.entries(await subject.state())) {
      hold(/^[A-Za-z][\w.-]*$/.test(name), `"${name}" is no name for a tensor.`);
      hold(ArrayBuffer.isView(data), `The tensor "${name}" holds no typed array.`);
      hold(
        shape.every((extent) => Number.isInteger(extent) && extent >= 0),
        `The tensor "${name}" has the shape ${shape.join(' × ')}.`,
      );
      const size = shape.reduce((product, extent) => product * extent, 1);
      hold(size === data.length, `The tensor "${name}" has ${data.length} values where its shape says ${size}.`);
    }
  },
};

/** Laws of components that learn. */
export const fitLaws: readonly Law[] = [sameBytes, wellFormed];
