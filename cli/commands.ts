import type { Command } from 'commander';

export interface CommandModule {
  /** Runs the command: gets its arguments, answers the exit code. A failure is thrown. */
  run(argv: readonly string[]): Promise<number>;
  /**
   * Its arguments and flags, of which the reference, the man page and completions are made. A group
   * holds its commands.
   */
  declareCommand(): Command | Promise<Command>;
}

export interface CommandEntry {
  readonly summary: string;
  /** Loaded only when the command is called: start-up reads nothing else. */
  readonly load: () => Promise<CommandModule>;
  /**
   * Of a group that docker has, too: the commands that are not only another name for one of Kiln.
   */
  readonly own?: readonly string[];
}

export const COMMANDS = {
  build: { summary: 'Build an image from a Dockerfile', load: () => import('./commands/build.ts') },
  run: {
    summary: 'Run a command in a new container of an image, to look at a result',
    load: () => import('./commands/run-image.ts'),
  },
  images: {
    summary: 'List the images in the local store',
    load: () => import('./commands/images.ts'),
  },
  image: {
    summary: "Remove images without a name, and docker's names for other commands",
    load: () => import('./commands/image.ts'),
    own: ['prune'],
  },
  tag: { summary: 'Give an image another name', load: () => import('./commands/tag.ts') },
  rmi: {
    summary: 'Remove names of images, and what only they needed',
    load: () => import('./commands/rmi.ts'),
  },
  inspect: {
    summary: 'Print the config and descriptors of an image as JSON',
    load: () => import('./commands/inspect.ts'),
  },
  history: { summary: 'Show how an image was made', load: () => import('./commands/history.ts') },
  save: { summary: 'Write images to an archive', load: () => import('./commands/save.ts') },
  load: { summary: 'Read images from an archive', load: () => import('./commands/load.ts') },
  pull: { summary: 'Fetch an image from a registry', load: () => import('./commands/pull.ts') },
  push: { summary: 'Send an image to a registry', load: () => import('./commands/push.ts') },
  copy: {
    summary: 'Copy an image between registries, archives, layouts and the store',
    load: () => import('./commands/copy.ts'),
  },
  imagetools: {
    summary: 'Look at images in registries, and make one of several',
    load: () => import('./commands/imagetools.ts'),
  },
  login: { summary: 'Log in to a registry', load: () => import('./commands/login.ts') },
  logout: {
    summary: 'Forget the login for a registry',
    load: () => import('./commands/logout.ts'),
  },
  explain: {
    summary: 'Say why the steps of a build were not cached',
    load: () => import('./commands/explain.ts'),
  },
  du: { summary: 'Show what takes room in the store', load: () => import('./commands/du.ts') },
  prune: { summary: 'Remove build cache', load: () => import('./commands/prune.ts') },
  cache: {
    summary: 'Look after cache mounts and records: ls, inspect, rm, export, import',
    load: () => import('./commands/cache.ts'),
  },
  fsck: { summary: 'Verify the whole store', load: () => import('./commands/fsck.ts') },
  logs: { summary: 'Print the full log of a build', load: () => import('./commands/logs.ts') },
  doctor: {
    summary: 'Say what this host offers and what is missing',
    load: () => import('./commands/doctor-host.ts'),
  },
  completion: {
    summary: 'Print the completion script for bash, zsh or fish',
    load: () => import('./commands/completion.ts'),
  },
  debug: { summary: 'Look inside: dump-llb', load: () => import('./commands/debug.ts') },
} satisfies Record<string, CommandEntry>;

export type CommandName = keyof typeof COMMANDS;
