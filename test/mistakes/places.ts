import type { Mistake } from './mistake.ts';

/** Mistakes about registries, archives, images and stores. `$REGISTRY/404/x` is not found there. */
export const PLACE_MISTAKES: readonly Mistake[] = [
  {
    what: 'registry refused',
    dockerfile: 'FROM 127.0.0.1:1/x\n',
    place: 'Dockerfile:1',
    code: 'KILN_REGISTRY_UNREACHABLE',
    says: 'cannot reach registry 127.0.0.1:1: the connection was refused',
    next: 'check that the registry is up, and the proxy settings (HTTPS_PROXY, NO_PROXY)',
  },
  {
    what: 'push refused',
    args: ['build', '--push', '-t', '127.0.0.1:1/x', '.'],
    code: 'KILN_REGISTRY_UNREACHABLE',
    says: 'cannot reach registry 127.0.0.1:1: the connection was refused',
    next: 'check that the registry is up, and the proxy settings (HTTPS_PROXY, NO_PROXY)',
  },
  {
    what: 'FROM registry 401',
    dockerfile: 'FROM $REGISTRY/401/x:1\n',
    place: 'Dockerfile:1',
    code: 'KILN_REGISTRY_UNAUTHORIZED',
    says: 'registry $REGISTRY requires a login for $REGISTRY/401/x:1',
    next:
      'check the name; if it is right, log in with an account that has access: kiln ' +
      'login $REGISTRY',
  },
  {
    what: 'FROM registry 403',
    dockerfile: 'FROM $REGISTRY/403/x:1\n',
    place: 'Dockerfile:1',
    code: 'KILN_REGISTRY_DENIED',
    says: 'registry $REGISTRY denies access to $REGISTRY/403/x:1',
    next:
      'check the name; if it is right, log in with an account that has access: kiln ' +
      'login $REGISTRY',
  },
  {
    what: 'FROM registry 404',
    dockerfile: 'FROM $REGISTRY/404/x:1\n',
    place: 'Dockerfile:1',
    code: 'KILN_IMAGE_NOT_FOUND',
    says: '$REGISTRY/404/x:1 does not exist in registry $REGISTRY: X told by the registry',
    next: 'check the name and the tag',
  },
  {
    what: 'push registry 401',
    args: ['build', '--push', '-t', '$REGISTRY/401/x:1', '.'],
    code: 'KILN_REGISTRY_UNAUTHORIZED',
    says: 'registry $REGISTRY requires a login for blob $DIGEST of $REGISTRY/401/x',
    next:
      'check the name; if it is right, log in with an account that has access: kiln ' +
      'login $REGISTRY',
  },
  {
    what: 'push registry 403',
    args: ['build', '--push', '-t', '$REGISTRY/403/x:1', '.'],
    code: 'KILN_REGISTRY_DENIED',
    says: 'registry $REGISTRY denies access to blob $DIGEST of $REGISTRY/403/x',
    next:
      'check the name; if it is right, log in with an account that has access: kiln ' +
      'login $REGISTRY',
  },
  {
    what: 'push registry 404',
    args: ['build', '--push', '-t', '$REGISTRY/404/x:1', '.'],
    code: 'KILN_REGISTRY_ERROR',
    says:
      'registry $REGISTRY answered 404 for upload of blob $DIGEST to $REGISTRY/404/x: X ' +
      'told by the registry',
    next: 'check the name; some registries need the repository to be made first',
  },
  {
    what: 'pull registry 401',
    args: ['pull', '$REGISTRY/401/x:1'],
    code: 'KILN_REGISTRY_UNAUTHORIZED',
    says: 'registry $REGISTRY requires a login for $REGISTRY/401/x:1',
    next:
      'check the name; if it is right, log in with an account that has access: kiln ' +
      'login $REGISTRY',
  },
  {
    what: 'pull registry 404',
    args: ['pull', '$REGISTRY/404/x:1'],
    code: 'KILN_IMAGE_NOT_FOUND',
    says: '$REGISTRY/404/x:1 does not exist in registry $REGISTRY: X told by the registry',
    next: 'check the name and the tag',
  },
  {
    what: 'pull bad name',
    args: ['pull', 'Foo'],
    code: 'KILN_REFERENCE_INVALID',
    says: 'invalid image reference "Foo": the repository name must be lower-case',
    next: 'write foo',
  },
  {
    what: 'push unknown image',
    args: ['push', 'nosuchimage'],
    code: 'KILN_IMAGE_NOT_FOUND',
    says: 'no such image in the store: nosuchimage',
    next: "'kiln images' lists the images",
  },
  {
    what: 'run unknown image',
    args: ['run', 'nosuchimage'],
    code: 'KILN_IMAGE_NOT_FOUND',
    says: 'no such image in the store: nosuchimage',
    next: "'kiln images' lists the images",
  },
  {
    what: 'rmi unknown',
    args: ['rmi', 'nosuchimage'],
    code: 'KILN_IMAGE_NOT_FOUND',
    says: 'no such image in the store: nosuchimage',
    next: "'kiln images' lists the images",
  },
  {
    what: 'inspect unknown',
    args: ['inspect', 'nosuch'],
    code: 'KILN_IMAGE_NOT_FOUND',
    says: 'no such image in the store: nosuch',
    next: "'kiln images' lists the images",
  },
  {
    what: 'save unknown',
    args: ['save', '-o', 'x.tar', 'nosuch'],
    code: 'KILN_IMAGE_NOT_FOUND',
    says: 'no such image in the store: nosuch',
    next: "'kiln images' lists the images",
  },
  {
    what: 'load missing',
    args: ['load', '-i', 'nope.tar'],
    place: '$DIR/nope.tar',
    code: 'KILN_LAYOUT_NOT_FOUND',
    says: 'there is no OCI layout at $DIR/nope.tar: no such directory or archive',
    next: 'name the archive or directory that there is',
  },
  {
    what: 'load garbage',
    args: ['load', '-i', 'Dockerfile'],
    place: '$DIR/Dockerfile',
    code: 'KILN_ARCHIVE_INVALID',
    says: '$DIR/Dockerfile is not a tar archive: it ends in the middle of a header',
    next: 'give an archive that kiln save, docker save or skopeo has written',
  },
  {
    what: 'logs unknown',
    args: ['logs', 'nosuch'],
    code: 'KILN_LOG_NOT_FOUND',
    says: 'there is no log of a build "nosuch"',
    next: "'kiln logs --list' lists the builds that have one",
  },
  {
    what: 'tag missing arg',
    args: ['tag', 'busybox'],
    exit: 2,
    code: 'KILN_USAGE',
    says: "missing required argument 'target'",
    next: "'kiln tag --help' lists the flags",
  },
  {
    what: 'login refused',
    args: ['login', '127.0.0.1:1', '-u', 'a', '-p', 'b'],
    code: 'KILN_REGISTRY_UNREACHABLE',
    says: 'cannot reach registry 127.0.0.1:1: the connection was refused',
    next: 'check that the registry is up, and the proxy settings (HTTPS_PROXY, NO_PROXY)',
  },
  {
    what: 'prune bad filter',
    args: ['prune', '--filter', 'foo'],
    exit: 2,
    code: 'KILN_FILTER_INVALID',
    says: '"foo" is not a valid filter',
    next:
      'the fields are id, type, parents, description, inuse, mutable, immutable, shared, ' +
      'private and until',
  },
  {
    what: 'history unknown',
    args: ['history', 'nosuch'],
    code: 'KILN_IMAGE_NOT_FOUND',
    says: 'no such image in the store: nosuch',
    next: "'kiln images' lists the images",
  },
  {
    what: 'store is a file',
    args: ['images'],
    env: { KILN_ROOT: '/etc/passwd' },
    place: '/etc/passwd',
    code: 'KILN_STORE_NOT_A_STORE',
    says: '/etc/passwd is not a kiln store: it is not a directory',
    next: 'choose an empty or new directory with --root or KILN_ROOT',
  },
  {
    what: 'store below proc',
    args: ['images'],
    env: { KILN_ROOT: '/proc/x' },
    place: '/proc/x',
    code: 'KILN_STORE_UNWRITABLE',
    says: 'the store cannot be written: no such file or directory',
    next: 'make the directory first, or choose another path',
  },
  {
    what: 'bad builder',
    args: ['build', '--builder', 'tcp://127.0.0.1:1', '.'],
    place: '--builder',
    code: 'KILN_SERVER_UNREACHABLE',
    says: 'cannot connect to tcp://127.0.0.1:1: connection refused',
    next: 'start the server: kiln serve --addr tcp://127.0.0.1:1',
  },
  {
    what: 'builder name',
    args: ['build', '--builder', 'nosuch', '.'],
    exit: 0,
    says: '--builder "nosuch" has no effect: Kiln has no other builders',
  },
  {
    what: 'bad epoch',
    args: ['build', '--build-arg', 'SOURCE_DATE_EPOCH=x', '.'],
    code: 'KILN_EPOCH_INVALID',
    says: 'invalid SOURCE_DATE_EPOCH: x',
    next:
      'it is a number of seconds since 1970, context, a named context, or a stage that ' +
      'only ADDs one source to scratch',
  },
  {
    what: 'git context missing',
    args: ['build', 'https://127.0.0.1:1/x.git'],
    code: 'KILN_GIT_UNREACHABLE',
    says: 'cannot read https://127.0.0.1:1/x.git: the host cannot be reached',
    next: 'check the URL, the network and the proxy settings (HTTPS_PROXY, NO_PROXY)',
  },
  {
    what: 'http context refused',
    args: ['build', 'http://127.0.0.1:1/x.tar'],
    code: 'KILN_HTTP_UNREACHABLE',
    says: 'cannot reach server 127.0.0.1:1: the connection was refused',
    next: 'check that the server is up, and the proxy settings (HTTPS_PROXY, NO_PROXY)',
  },
  {
    what: 'ADD 404',
    dockerfile: 'FROM busybox\nADD http://$REGISTRY/v2/404/x /\n',
    place: 'Dockerfile:2',
    code: 'KILN_HTTP_STATUS',
    says:
      'http://$REGISTRY/v2/404/x: invalid response status 404: ' +
      '{"errors":[{"code":"X","message":"told by the registry"}]}',
    next: 'check the URL: the server has no such file',
  },
  {
    what: 'FROM oci-layout missing',
    dockerfile: 'FROM x\n',
    args: ['build', '--build-context', 'x=oci-layout://nope', '.'],
    place: '$DIR/nope',
    code: 'KILN_LAYOUT_NOT_FOUND',
    says: 'there is no OCI layout at $DIR/nope: no such directory or archive',
    next: 'name the archive or directory that there is',
  },
];
