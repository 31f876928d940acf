/** A model that a component runs. */
export interface ModelInUse {
  /** Base name of its file. */
  readonly file: string;
  /** Hex SHA-256 of the file. */
  readonly sha256: string;
  /** What runs it: a provider of onnxruntime (`cpu`, `cuda`, `webgpu` …), or `kernels` for what our own kernels compute. May change when a device fails. */
  readonly device: string;
}

/** A facet of components that run models: what runs them stands in `recloom inspect`, in the answer's timings and in metrics. */
export interface ModelBacked {
  models(): readonly ModelInUse[];
}
