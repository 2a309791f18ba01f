import { PupilError } from '../../errors.js';
import { command, type Command, type CommandGroup } from '../command.js';
import { shells } from '../completion.js';

/** Over the list of commands, which this one is in itself. */
export const completion = (commands: () => readonly (Command | CommandGroup)[]): Command =>
  command('completion', 'Print a script that completes commands and options in your shell.', {
    arguments: { '<shell>': shells.join(', ') },
    options: {},
    examples: [
      'pupil completion bash     in ~/.bashrc: source <(pupil completion bash)',
      'pupil completion zsh      into a file _pupil of a folder in $fpath',
      'pupil completion fish     into ~/.config/fish/completions/pupil.fish',
    ],
    async run({ shell: name }, { json }, terminal) {
      const shell = shells.find((one) => one === name);
      if (shell === undefined)
        throw new PupilError('usage', `completion takes one of ${shells.join(', ')}, got ${JSON.stringify(name)}`);
      const [{ completionScript }, { conclude }] = await Promise.all([
        import('../completion.js'),
        import('../result.js'),
      ]);
      const script = completionScript(shell, commands());
      conclude({ shell, script }, script, json, terminal);
    },
  });
