import { readdir, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { type ModelFiles, recloomError } from '@recloom/plugin-api';

/**
 * The absolute path of the graph that the options name: an .onnx file from the folder of the config, or a graph in a folder,
 * package or hub model.
 *
 * @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_INVALID when it leaves the folder of its package.
 */
export async function findModelFile(
  { model, file }: { readonly model: string; readonly file?: string | undefined },
  directory: string,
  modelFiles: ModelFiles,
  signal: AbortSignal,
): Promise<string> {
  if (file === undefined && /\.onnx$/i.test(model)) {
    const path = resolve(directory, model);
    if (!(await isFile(path))) throw recloomError('RECLOOM_DAT_MODEL_MISSING', { reference: model, tried: path });
    return path;
  }
  const { directory: folder } = await modelFiles.resolve(model, signal);
  if (file !== undefined) {
    const path = resolve(folder, file);
    if (!(await isFile(path))) throw recloomError('RECLOOM_DAT_MODEL_MISSING', { reference: model, tried: path });
    const inside = relative(await realpath(folder), await realpath(path));
    if (isAbsolute(inside) || inside === '..' || inside.startsWith(`..${sep}`)) {
      throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: `${file} lies outside the folder of the model` });
    }
    return path;
  }
  const usual = join(folder, 'model.onnx');
  if (await isFile(usual)) return usual;
  const graphs = (await readdir(folder)).filter((name) => /\.onnx$/i.test(name)).sort();
  if (graphs.length === 1) return join(folder, graphs[0] as string);
  const why = graphs.length === 0 ? 'no .onnx file in it' : `${graphs.length} .onnx files in it; name one with "file"`;
  throw recloomError('RECLOOM_DAT_MODEL_MISSING', { reference: model, tried: `${folder}: ${why}` });
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
