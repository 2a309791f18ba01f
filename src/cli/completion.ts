/** Scripts that let a shell complete commands, options and their values. */
import { flagName, type Option } from '../options/option.js';
import type { Command, CommandGroup } from './command.js';
import { helpOf } from './help.js';
import { flagsOf, withFlags } from './messages.js';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

interface Flag {
  readonly flag: string;
  readonly says: string;
  /** What its value may be; empty: a file or anything. Undefined: it has none. */
  readonly words: readonly string[] | undefined;
}

/** A command by what is typed for it: `train`, `models list`. */
interface Leaf {
  readonly path: string;
  readonly says: string;
  readonly flags: readonly Flag[];
}

const flagsIn =
  (names: ReadonlyMap<string, string>) =>
  ([name, row]: readonly [string, Option]): Flag[] => {
    const flag = flagName(name, row);
    if (flag === undefined || row.never !== undefined) return [];
    const says = withFlags(helpOf(name, row), names);
    if (row.kind.type !== 'flag') return [{ flag: `--${flag}`, says, words: row.kind.words ?? [] }];
    return [{ flag: row.no === undefined ? `--${flag}` : `--no-${flag}`, says, words: undefined }];
  };

const leavesOf = (commands: readonly (Command | CommandGroup)[], before = ''): Leaf[] =>
  commands.flatMap((one) =>
    'commands' in one
      ? leavesOf(one.commands, `${one.name} `)
      : [
          {
            path: `${before}${one.name}`,
            says: one.says,
            flags: [
              ...Object.entries(one.options).flatMap(flagsIn(flagsOf(one.options))),
              { flag: '--help', says: 'show help', words: undefined },
            ],
          },
        ],
  );

/** The script for a shell, to be sourced or saved where the shell looks for completions. */
export function completionScript(shell: Shell, commands: readonly (Command | CommandGroup)[]): string {
  const tops = commands.map(({ name, says }) => ({ name, says }));
  const groups = commands.flatMap((one) => ('commands' in one ? [one] : []));
  return { bash, zsh, fish }[shell]({ tops, groups, leaves: leavesOf(commands) });
}

interface Names {
  readonly tops: readonly { readonly name: string; readonly says: string }[];
  readonly groups: readonly CommandGroup[];
  readonly leaves: readonly Leaf[];
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function bash({ tops, groups, leaves }: Names): string {
  const values = leaves.flatMap(({ path, flags }) =>
    flags.flatMap(({ flag, words }) =>
      words === undefined ? [] : [`    ${quoted(`${path} ${flag}`)}) words=${quoted(words.join(' '))} value=yes ;;`],
    ),
  );
  const flags = leaves.map(
    ({ path, flags: of }) => `    ${quoted(path)}) words=${quoted(of.map(({ flag }) => flag).join(' '))} ;;`,
  );
  const children = groups.map(
    ({ name, commands }) => `    ${quoted(name)}) words=${quoted(commands.map((child) => child.name).join(' '))} ;;`,
  );
  return `# pupil in bash: source <(pupil completion bash)
_pupil() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD - 1]}"
  local command="\${COMP_WORDS[1]}" words='' value=''
  COMPREPLY=()
  if [[ $COMP_CWORD == 1 ]]; then
    COMPREPLY=($(compgen -W ${quoted([...tops.map(({ name }) => name), 'help'].join(' '))} -- "$word"))
    return
  fi
  if [[ $COMP_CWORD == 2 ]]; then
    case "$command" in
${children.join('\n')}
    'help') words=${quoted(tops.map(({ name }) => name).join(' '))} ;;
    'completion') words='${shells.join(' ')}' ;;
    esac
    if [[ -n $words ]]; then
      COMPREPLY=($(compgen -W "$words" -- "$word"))
      return
    fi
  fi
  case "$command" in ${groups.map(({ name }) => name).join(' | ')}) command="$command \${COMP_WORDS[2]}" ;; esac
  case "$command $before" in
${values.join('\n')}
  esac
  if [[ -z $value && $word == -* ]]; then
    case "$command" in
${flags.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [[ \${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$word"))
}
complete -o filenames -F _pupil pupil
`;
}

function zsh({ tops, groups, leaves }: Names): string {
  // In a specification of _arguments, brackets and colons have a meaning.
  const safe = (text: string): string => text.replace(/[[\]:]/g, (character) => `\\${character}`);
  const specification = ({ flag, says, words }: Flag): string => {
    const value = words === undefined ? '' : `:value:${words.length > 0 ? `(${words.join(' ')})` : '_files'}`;
    return quoted(`*${flag}[${safe(says)}]${value}`);
  };
  const described = (items: readonly { readonly name: string; readonly says: string }[]): string =>
    items.map(({ name, says }) => quoted(`${name}:${says}`)).join(' ');
  const cases = leaves.map(({ path, flags }) => {
    const words = path === 'completion' ? `'1:shell:(${shells.join(' ')})'` : "'*:file:_files'";
    return `    ${quoted(path)}) _arguments ${flags.map(specification).join(' ')} ${words} ;;`;
  });
  const children = groups.map(
    ({ name, commands }) =>
      `    ${name}) local -a children=(${described(commands)}); _describe command children; return ;;`,
  );
  return `#compdef pupil
# pupil in zsh: pupil completion zsh > a folder of $fpath, as _pupil
_pupil() {
  local -a commands=(${described(tops)})
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  if ((CURRENT == 3)); then
    case $words[2] in
${children.join('\n')}
    help) _describe command commands; return ;;
    esac
  fi
  local command=$words[2] skip=1
  case $command in ${groups.map(({ name }) => name).join('|')}) command="$command $words[3]" skip=2 ;; esac
  shift $skip words
  ((CURRENT -= skip))
  case $command in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _pupil ]]; then _pupil "$@"; else compdef _pupil pupil; fi
`;
}

function fish({ tops, groups, leaves }: Names): string {
  const top = tops.map(
    ({ name, says }) => `complete -c pupil -n __fish_use_subcommand -f -a ${name} -d ${quoted(says)}`,
  );
  const seenNone = (names: readonly string[]): string => `not __fish_seen_subcommand_from ${names.join(' ')}`;
  const children = groups.flatMap(({ name, commands }) => {
    const here = `__fish_seen_subcommand_from ${name}; and ${seenNone(commands.map((child) => child.name))}`;
    return commands.map((child) => `complete -c pupil -n ${quoted(here)} -f -a ${child.name} -d ${quoted(child.says)}`);
  });
  const flags = leaves.flatMap(({ path, flags: of }) => {
    const seen = path
      .split(' ')
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join('; and ');
    return of.map(({ flag, says, words }) => {
      // Behind a tab stands what a word means: with nothing there, fish would show the option's help for each.
      const value =
        words === undefined
          ? ''
          : words.length > 0
            ? ` -x -a ${quoted(words.map((word) => `${word}\\t`).join(' '))}`
            : ' -r';
      return `complete -c pupil -n ${quoted(seen)} -l ${flag.slice(2)}${value} -d ${quoted(says)}`;
    });
  });
  const names = `complete -c pupil -n '__fish_seen_subcommand_from completion' -f -a ${quoted(shells.join(' '))}`;
  const lines = [...top, ...children, names, ...flags].join('\n');
  return `# pupil in fish: pupil completion fish > ~/.config/fish/completions/pupil.fish\n${lines}\n`;
}
