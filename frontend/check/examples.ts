import type { RuleName } from './rules.ts';

/**
 * What a rule's page in docs/rules/ says beside its description: why, and a file that breaks the
 * rule and one that keeps it. The test beside this file holds each rule to its examples. Never
 * loaded by a build.
 */
export interface RulePage {
  readonly why: string;
  readonly bad: Example;
  readonly good: Example;
}

/** A Dockerfile, or one with the `.dockerignore` that the rule is about. */
export type Example = string | { readonly dockerfile: string; readonly ignore: string };

export const PAGES: Readonly<Record<RuleName, RulePage>> = {
  StageNameCasing: {
    why:
      'Stage names are compared without regard to case. In lower case they look as they are ' +
      'compared, and cannot be mistaken for an image.',
    bad: 'FROM alpine:3.22 AS BuilderBase\n',
    good: 'FROM alpine:3.22 AS builder-base\n',
  },
  FromAsCasing: {
    why: 'Keywords of one instruction in two cases are hard to read.',
    bad: 'FROM alpine:3.22 as builder\n',
    good: 'FROM alpine:3.22 AS builder\n',
  },
  NoEmptyContinuation: {
    why:
      'An empty line between continued lines is ignored. It looks like the end of the ' +
      'instruction, and a later version of the language will treat it as that.',
    bad: 'FROM alpine:3.22\nRUN echo one && \\\n\n    echo two\n',
    good: 'FROM alpine:3.22\nRUN echo one && \\\n    # a comment may stand here\n    echo two\n',
  },
  ConsistentInstructionCasing: {
    why:
      'Instructions may be written in any case, but one case throughout a file is easier to ' +
      'read. The case of the majority is taken as the right one.',
    bad: 'FROM alpine:3.22\nrun echo hello\nENV a=b\n',
    good: 'FROM alpine:3.22\nRUN echo hello\nENV a=b\n',
  },
  DuplicateStageName: {
    why:
      'A stage hides an earlier one of the same name: FROM and --from find the ' +
      'last one above them.',
    bad: 'FROM debian:13 AS builder\nFROM golang:1.24 AS builder\n',
    good: 'FROM debian:13 AS deb-builder\nFROM golang:1.24 AS go-builder\n',
  },
  ReservedStageName: {
    why:
      '`scratch` is the empty base and `context` is the build context. A stage of that name ' +
      'cannot be told from them.',
    bad: 'FROM alpine:3.22 AS context\nCOPY . .\n',
    good: 'FROM alpine:3.22 AS files\nCOPY . .\n',
  },
  JSONArgsRecommended: {
    why:
      'In shell form the process with number 1 is a shell, which does not pass signals on: ' +
      '`docker stop` waits, and then kills. In JSON form it is the program itself. Where a ' +
      'shell is intended, SHELL says so.',
    bad: 'FROM alpine:3.22\nENTRYPOINT my-program start\n',
    good: 'FROM alpine:3.22\nENTRYPOINT ["my-program", "start"]\n',
  },
  MaintainerDeprecated: {
    why:
      'MAINTAINER sets a field that hardly any tool shows. The label of the OCI image ' +
      'specification has the same meaning, and is shown.',
    bad: 'FROM alpine:3.22\nMAINTAINER somebody@example.com\n',
    good: 'FROM alpine:3.22\nLABEL org.opencontainers.image.authors="somebody@example.com"\n',
  },
  UndefinedArgInFrom: {
    why:
      'FROM sees only the ARGs before the first FROM. An unknown name is empty, so that the ' +
      'base is not the intended one.',
    bad: 'FROM alpine:3.22${VARIANT}\n',
    good: 'ARG VARIANT\nFROM alpine:3.22${VARIANT}\n',
  },
  WorkdirRelativePath: {
    why:
      'A relative WORKDIR begins at the directory of the base image. When the base changes ' +
      'it, the files land somewhere else.',
    bad: 'FROM nginx AS web\nWORKDIR usr/share/nginx/html\nCOPY public .\n',
    good: 'FROM nginx AS web\nWORKDIR /usr/share/nginx/html\nCOPY public .\n',
  },
  UndefinedVar: {
    why:
      'A variable that is defined by no ENV, by no ARG of this stage and not by the base is ' +
      'empty. Mostly this is a typing error, or the ARG belongs to another stage.',
    bad: 'FROM alpine:3.22\nARG foo\nCOPY $fooo /\n',
    good: 'FROM alpine:3.22\nARG foo\nCOPY $foo /\n',
  },
  MultipleInstructionsDisallowed: {
    why:
      'Of several CMD, ENTRYPOINT or HEALTHCHECK in a stage only the last one counts. The ' +
      'others have no effect.',
    bad: 'FROM alpine:3.22\nENTRYPOINT ["echo", "one"]\nENTRYPOINT ["echo", "two"]\n',
    good: 'FROM alpine:3.22\nENTRYPOINT ["echo", "two"]\n',
  },
  LegacyKeyValueFormat: {
    why:
      'The form with a space takes one variable and the rest of the line as its value. The ' +
      'form with = takes several, and quotes.',
    bad: 'FROM alpine:3.22\nENV DIR /a b\n',
    good: 'FROM alpine:3.22\nENV DIR="/a b"\n',
  },
  InvalidBaseImagePlatform: {
    why:
      'The base image exists for another platform only. It is used, but its programs run ' +
      'under emulation or not at all.',
    bad: '# built with --platform=linux/arm64\nFROM only-for-s390x\n',
    good: '# built with --platform=linux/s390x\nFROM only-for-s390x\n',
  },
  RedundantTargetPlatform: {
    why: 'The target platform is what FROM uses anyway.',
    bad: 'FROM --platform=$TARGETPLATFORM alpine:3.22\n',
    good: 'FROM alpine:3.22\n',
  },
  SecretsUsedInArgOrEnv: {
    why:
      'The values of ARG and ENV are in the image, its history or its attestations, so ' +
      'that everybody who can pull the image can read them. A secret mount leaves ' +
      'nothing in the image.',
    bad: 'FROM alpine:3.22\nARG AWS_SECRET_ACCESS_KEY\nRUN deploy\n',
    good: 'FROM alpine:3.22\nRUN --mount=type=secret,id=aws,env=AWS_SECRET_ACCESS_KEY deploy\n',
  },
  InvalidDefaultArgInFrom: {
    why:
      'Without build arguments the name of the base is empty or invalid: the file can only ' +
      'be built by somebody who knows which ones to give.',
    bad: 'ARG TAG\nFROM busybox:${TAG}\n',
    good: 'ARG TAG=1.37\nFROM busybox:${TAG}\n',
  },
  FromPlatformFlagConstDisallowed: {
    why:
      'A platform written out in FROM makes the file build that platform only. A stage that ' +
      'is intended for one platform can say so in its name.',
    bad: 'FROM --platform=linux/amd64 alpine:3.22 AS base\n',
    good:
      'FROM --platform=linux/amd64 alpine:3.22 AS base-amd64\n' +
      'FROM --platform=$BUILDPLATFORM alpine:3.22 AS tools\n',
  },
  CopyIgnoredFile: {
    why:
      'What .dockerignore excludes does not exist for COPY and ADD: the step fails, or ' +
      'copies less than it seems to.',
    bad: { dockerfile: 'FROM scratch\nCOPY notes.tmp /\n', ignore: '*.tmp\n' },
    good: { dockerfile: 'FROM scratch\nCOPY notes.txt /\n', ignore: '*.tmp\n' },
  },
  InvalidDefinitionDescription: {
    why:
      '`--call=outline` and `--call=targets` show the comment right above a FROM or ARG as ' +
      'its description, if the comment begins with the name. An empty line or an empty ' +
      'comment keeps other comments apart.',
    bad: '# the compiler and the sources\nFROM golang:1.24 AS builder\n',
    good: '# builder has the compiler and the sources\nFROM golang:1.24 AS builder\n',
  },
  ExposeProtoCasing: {
    why: 'Protocols are written in lower case everywhere else.',
    bad: 'FROM alpine:3.22\nEXPOSE 80/TcP\n',
    good: 'FROM alpine:3.22\nEXPOSE 80/tcp\n',
  },
  ExposeInvalidFormat: {
    why:
      'EXPOSE names a port of the container. Addresses and host ports ' +
      'belong to whoever runs it.',
    bad: 'FROM alpine:3.22\nEXPOSE 127.0.0.1:80:80\n',
    good: 'FROM alpine:3.22\nEXPOSE 80\n',
  },
  SuspiciousIgnorePattern: {
    why:
      'In .dockerignore a # starts a comment only as the first character of a line, and ' +
      'quotes are ordinary characters. No path of the context begins with `..`. A `!` ' +
      'brings back only what a line above it excludes. Docker accepts all these silently, ' +
      'and what should stay out goes into the image.',
    bad: { dockerfile: 'FROM scratch\nCOPY . /\n', ignore: '.env  # local secrets\n' },
    good: { dockerfile: 'FROM scratch\nCOPY . /\n', ignore: '# local secrets\n.env\n' },
  },
  ShellStateLost: {
    why:
      'Each RUN has a shell of its own. What `cd`, `export` and similar commands change ' +
      'ends with that shell, so they have no effect as the last command of a RUN.',
    bad: 'FROM alpine:3.22\nRUN cd /src\nRUN make\n',
    good: 'FROM alpine:3.22\nWORKDIR /src\nRUN make\nRUN cd docs && make\n',
  },
  SecretInText: {
    why:
      'Something in the file has the form of an access key, a token, a private key or a ' +
      'password in a URL. Everybody who has the Dockerfile can read it, and so can ' +
      'everybody who can pull the image: its history contains values and commands. The ' +
      'finding does not repeat the secret.',
    bad: 'FROM alpine:3.22\nRUN git clone https://ci:hunter2@git.example.com/team/app.git\n',
    good:
      'FROM alpine:3.22\n' +
      'RUN --mount=type=secret,id=git,target=/root/.netrc git clone ' +
      'https://git.example.com/team/app.git\n',
  },
  PackageUpdateAlone: {
    why:
      'The step stays in the cache for as long as its text does not change. A later install ' +
      'then asks for versions that no longer exist, or installs old ones.',
    bad: 'FROM debian:13\nRUN apt-get update\nRUN apt-get install -y curl\n',
    good: 'FROM debian:13\nRUN apt-get update && apt-get install -y curl\n',
  },
  InstallAfterCopyAll: {
    why:
      'A step runs again when a step above it has changed. After a COPY of the whole ' +
      'context that happens with every change of any file. After a COPY of the lists of ' +
      'dependencies it happens only when these change. A RUN with a mount gives no finding: ' +
      'a cache mount makes the second run cheap.',
    bad: 'FROM node:24\nWORKDIR /app\nCOPY . .\nRUN npm ci\n',
    good:
      'FROM node:24\n' +
      'WORKDIR /app\n' +
      'COPY package.json package-lock.json ./\n' +
      'RUN npm ci\n' +
      'COPY . .\n',
  },
  TooManyLayers: {
    why:
      'Each RUN, COPY, ADD and WORKDIR makes a layer. Kiln builds and runs any number of ' +
      'them. Docker and containerd refuse an image of more than 127 ("max depth exceeded") ' +
      'when it is loaded or pulled.',
    bad: `FROM alpine:3.22\n${'RUN true\n'.repeat(127)}`,
    good: 'FROM alpine:3.22\nRUN true && \\\n    true\n',
  },
  LastStagePlatform: {
    why:
      'The config of an image names the platform that --platform asked for. Where FROM ' +
      '--platform gives the last stage another one, the programs in the image are not for ' +
      'the machine that its config names.',
    bad:
      '# built with --platform=linux/arm64\n' +
      'FROM --platform=$BUILDPLATFORM alpine:3.22\n' +
      'RUN make\n',
    good:
      '# built with --platform=linux/arm64\n' +
      'FROM --platform=$BUILDPLATFORM alpine:3.22 AS build\n' +
      'RUN make\n' +
      'FROM alpine:3.22\n' +
      'COPY --from=build /app /app\n',
  },
  ChmodWithoutExecute: {
    why:
      '--chmod with a number applies to everything that the COPY makes, and for a directory ' +
      'x is the right to enter it. The letter X gives that right to directories alone.',
    bad: 'FROM alpine:3.22\nCOPY --chmod=0644 app.conf /app/conf/\n',
    good: 'FROM alpine:3.22\nCOPY --chmod=u=rwX,go=rX app.conf /app/conf/\n',
  },
  EntrypointDropsCmd: {
    why:
      'A CMD is written for the ENTRYPOINT of its stage, so a new ENTRYPOINT drops an ' +
      'inherited CMD. The image then starts without the arguments that an earlier stage of ' +
      'the same file gives, or a base image that has an ENTRYPOINT of its own.',
    bad: 'FROM alpine:3.22 AS base\nCMD ["serve"]\nFROM base\nENTRYPOINT ["/app"]\n',
    good:
      'FROM alpine:3.22 AS base\n' +
      'CMD ["serve"]\n' +
      'FROM base\n' +
      'ENTRYPOINT ["/app"]\n' +
      'CMD ["serve"]\n',
  },
  ExcludeNamesSource: {
    why:
      'COPY copies the contents of the source. A pattern that names the source itself ' +
      'matches nothing in it.',
    bad: 'FROM alpine:3.22\nCOPY --exclude=docs docs /docs/\n',
    good: 'FROM alpine:3.22\nCOPY --exclude=*.md docs /docs/\n',
  },
  LinkResetsMode: {
    why:
      'With --link the copy is a layer of its own, made without looking at what is below. ' +
      'That layer contains /tmp as a new directory with mode 0755, which replaces the 1777 ' +
      'of the base: programs that do not run as root cannot make temporary files then.',
    bad: 'FROM alpine:3.22\nCOPY --link setup.sh /tmp/\n',
    good: 'FROM alpine:3.22\nCOPY setup.sh /tmp/\n',
  },
  CacheOwnersDiffer: {
    why:
      'The directory of a cache mount is made with the uid, gid and mode of the mount. Two ' +
      'mounts of one id with different values are two caches.',
    bad:
      'FROM alpine:3.22\n' +
      'RUN --mount=type=cache,target=/c make\n' +
      'RUN --mount=type=cache,target=/c,uid=1000 make test\n',
    good:
      'FROM alpine:3.22\n' +
      'RUN --mount=type=cache,target=/c,uid=1000 make\n' +
      'RUN --mount=type=cache,target=/c,uid=1000 make test\n',
  },
  AddForPlainFile: {
    why:
      'ADD fetches URLs and repositories and unpacks archives, depending on its source. ' +
      'COPY does one thing, so that a reader knows what happens.',
    bad: '# check=experimental=AddForPlainFile\nFROM alpine:3.22\nADD config.yaml /etc/app/\n',
    good:
      '# check=experimental=AddForPlainFile\n' +
      'FROM alpine:3.22\n' +
      'COPY config.yaml /etc/app/\n' +
      'ADD rootfs.tar.gz /\n',
  },
  UnpinnedBaseImage: {
    why:
      'A name without a tag, or with `latest`, is another image every few weeks: builds of ' +
      'the same file differ, and fail on days on which nobody changed anything.',
    bad: '# check=experimental=UnpinnedBaseImage\nFROM alpine\n',
    good: '# check=experimental=UnpinnedBaseImage\nFROM alpine:3.22\n',
  },
};
