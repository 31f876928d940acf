import { recloomError } from './recloom-error.js';

/**
 * Imports a heavy library lazily. When it is not installed, the error names the package and the range to install.
 *
 * @throws RECLOOM_PLG_LIBRARY_MISSING when the package cannot be found.
 */
export async function importLibrary<Module>(packageName: string, range: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') {
      throw recloomError('RECLOOM_PLG_LIBRARY_MISSING', { packageName, range }, { cause: error });
    }
    throw error;
  }
}
