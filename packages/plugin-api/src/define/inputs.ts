import type { Column, ColumnType } from '../columns/column.js';
import type { FeatureMatrix } from '../columns/features.js';

/** One entry a component accepts under `in:`. */
export interface InputSpec {
  readonly kind: 'item-field' | 'user-field' | 'feature';
  /** Accepted column types; any when absent. Fields only. */
  readonly types?: readonly ColumnType[];
  readonly many: boolean;
  readonly optional: boolean;
  readonly description: string;
}

/** The entries that a component accepts under `in:`, by name. */
export type InputsSpec = Readonly<Record<string, InputSpec>>;

/** A field of the item or user table, named by the config. */
export interface FieldInput {
  /** The field's name, e.g. `title`. */
  readonly field: string;
  /** The column as it is now. At build time the build's, at serve time the live one; undefined for user fields at serve time: use `RequestView.userField`. */
  column(): Column | undefined;
}

type InputValue<Spec extends InputSpec> = Spec['kind'] extends 'feature' ? FeatureMatrix : FieldInput;
type OneOrMany<Spec extends InputSpec> = Spec['many'] extends true ? readonly InputValue<Spec>[] : InputValue<Spec>;

/** What the declared inputs resolve to. */
export type ResolvedInputs<Spec extends InputsSpec> = {
  readonly [Name in keyof Spec]: Spec[Name]['optional'] extends true ? OneOrMany<Spec[Name]> | undefined : OneOrMany<Spec[Name]>;
};

interface InputOptions<Many extends boolean, Optional extends boolean> {
  readonly description: string;
  readonly many?: Many;
  readonly optional?: Optional;
}

/** An item field (`item.title`) of one of the given types. */
export function itemField<const Many extends boolean = false, const Optional extends boolean = false>(
  options: InputOptions<Many, Optional> & { readonly types?: readonly ColumnType[] },
): {
  readonly kind: 'item-field';
  readonly types?: readonly ColumnType[];
  readonly many: Many;
  readonly optional: Optional;
  readonly description: string;
} {
  return {
    kind: 'item-field',
    many: (options.many ?? false) as Many,
    optional: (options.optional ?? false) as Optional,
    description: options.description,
    ...(options.types ? { types: options.types } : {}),
  };
}

/** A user field (`user.country`). Reading it needs the field's label, `profile` unless the config says otherwise. */
export function userField<const Many extends boolean = false, const Optional extends boolean = false>(
  options: InputOptions<Many, Optional> & { readonly types?: readonly ColumnType[] },
): {
  readonly kind: 'user-field';
  readonly types?: readonly ColumnType[];
  readonly many: Many;
  readonly optional: Optional;
  readonly description: string;
} {
  return {
    kind: 'user-field',
    many: (options.many ?? false) as Many,
    optional: (options.optional ?? false) as Optional,
    description: options.description,
    ...(options.types ? { types: options.types } : {}),
  };
}

/** The item-scope feature of another component, by that component's name. */
export function feature<const Many extends boolean = false, const Optional extends boolean = false>(
  options: InputOptions<Many, Optional>,
): { readonly kind: 'feature'; readonly many: Many; readonly optional: Optional; readonly description: string } {
  return {
    kind: 'feature',
    many: (options.many ?? false) as Many,
    optional: (options.optional ?? false) as Optional,
    description: options.description,
  };
}
