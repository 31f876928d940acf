import fc from 'fast-check';

/**
 * Property tests draw the same cases in every run, so that a red run is a change's own doing. To search further, choose
 * another seed (RECLOOM_FAST_CHECK_SEED=7 npm test); a counterexample found that way becomes a test of its own.
 */
fc.configureGlobal({ seed: Number(process.env['RECLOOM_FAST_CHECK_SEED'] ?? 20_111_209) });
