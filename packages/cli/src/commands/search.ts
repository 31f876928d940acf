import type { Command } from 'commander';
import { addCommand, type CommandHost, takeConfig } from '../command.js';
import { UsageError } from '../report-error.js';
import { type RequestOptions, requestOptions } from '../request-options.js';
import { answer } from './recommend.js';

/** `recloom search [config] "words"`. */
export function registerSearch(program: Command, host: CommandHost): void {
  addCommand<RequestOptions>(program, host, {
    usage: 'search [words...]',
    summary: 'search by words, by a picture, or by both',
    detail:
      'The first word is the config when it ends in .yaml, .yml or .json. The surface is `search`, or the only one of a config when it needs text or a picture, unless --surface names another.',
    examples: [
      ['recloom search "something to keep my hands warm"', 'by meaning and by words'],
      ['recloom search shop.yaml lantern --filter "item.price < 5.0" --limit 5', 'under a condition'],
      ['recloom search --image photo.jpg', 'by a picture, where the config has a component that can'],
      ['recloom search --image photo.jpg --text "in green" --image-weight 0.3', 'by both, the words counting for more'],
    ],
    configure: (command) => requestOptions(command),
    run: async (call) => {
      const { config, words } = takeConfig(call);
      const text = [...words, call.options.text ?? ''].join(' ').trim();
      if (text === '' && call.options.image === undefined) throw new UsageError('Say what to search for, or give --image.');
      await answer({ ...call, options: { ...call.options, ...(text === '' ? {} : { text }) } }, config, true);
    },
  });
}
