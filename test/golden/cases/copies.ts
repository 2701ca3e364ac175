import { type GoldenCase, lines } from '../case.ts';
import { tree } from './basic.ts';

const NO_LABS = 'Docker 28 has --parents only in a frontend that it would fetch';

/** The capability cap_net_bind_service in the form of the extended attribute. */
const CAPABILITY = 'AQAAAgAEAAAAAAAAAAAAAAAAAAA=';

/** COPY and ADD with their flags. solver/ops/file/cases.ts has more cases of the copying. */
export const COPIES: readonly GoldenCase[] = [
  {
    name: 'copy-chown-names',
    dockerfile: lines(
      'FROM busybox',
      'RUN echo joe:x:1500:1600::/:/bin/sh >> /etc/passwd && echo team:x:1700: >> /etc/group',
      'COPY --chown=joe x1.txt /a',
      'COPY --chown=joe:team x1.txt /b',
      'COPY --chown=1500:team src /c',
      'COPY --chown=joe:12 x1.txt /d/e/f',
      'COPY --chown=0:0 x1.txt /g',
      'USER joe',
      'COPY x1.txt /h',
    ),
    files: tree,
  },
  {
    name: 'copy-chmod',
    dockerfile: lines(
      'FROM busybox',
      'COPY --chmod=640 src /a',
      'COPY --chmod=u=rwX,go=rX src /b',
      'COPY --chmod=+x x1.txt /c/d',
      'COPY --chmod=u+s,g-w,o=t x1.txt /e',
      'COPY --chmod=4755 --chown=3:4 x1.txt /f',
      'COPY --chmod=a+rwx,o-w x1.txt /g',
      'ADD --chmod=go-rwx src /h',
    ),
    files: tree,
    modes: { 'src/sub/b.sh': 0o754, 'src/sub': 0o751 },
  },
  {
    name: 'copy-chmod-special-bits',
    dockerfile: lines(
      'FROM busybox',
      'COPY --chmod=7777 src /a',
      'COPY --chmod=1777 src /b/',
      'COPY --chmod=2711 --chown=5 src/sub/deep /c',
      'COPY --chmod=4700 src /home/',
      'COPY --chmod=1000 x1.txt /d',
      'COPY --chmod=u+s,+t src /e',
      'COPY --chmod=7777 src/* /f/',
      'COPY --chmod=0711 src /g/h/',
      'COPY --chmod=7777 --link src /i',
      'COPY --from=busybox --chmod=7777 /home /j',
      'COPY --from=busybox --chmod=777 /home /k',
      'COPY --from=busybox --chmod=7777 /var /l',
    ),
    files: tree,
    modes: { 'src/sub': 0o2755, 'src/sub/b.sh': 0o4755 },
    differs: {
      why:
        "the umask of Docker's daemon does not take part in directories that are made with " +
        '--chmod; buildkitd has none either',
      expect: ({ tree, ...rest }) => {
        for (const path of ['/a', '/b', '/f', '/i', '/j', '/k', '/l'])
          tree[path] = { ...tree[path], mode: '0o777' };
        return { tree, ...rest };
      },
    },
  },
  {
    name: 'copy-chmod-bad',
    dockerfile: 'FROM busybox\nCOPY --chmod=rwx x1.txt /\n',
    files: tree,
    refused: true,
  },
  {
    name: 'copy-modes-kept',
    dockerfile: 'FROM busybox\nCOPY . /all/\nCOPY secret d /one/\n',
    files: { secret: 's', 'd/f': 'f', 'd/x': 'x', 'sticky/f': '' },
    modes: { secret: 0o400, 'd/x': 0o6755, d: 0o700, sticky: 0o1777 },
  },
  {
    name: 'copy-link',
    dockerfile: lines(
      'FROM busybox AS a',
      'RUN mkdir -p /o/p && echo 1 > /o/p/f && ln -s /etc /o/l',
      'FROM busybox',
      'RUN ln -s /var /alias && mkdir -m 700 /keep',
      'COPY --link --from=a /o /keep/',
      'COPY --link x1.txt /keep/x',
      'COPY --link=true --chmod=600 src /made/by/link',
      'COPY --link=false x1.txt /alias/plain',
      'ADD --link x2.txt /keep/',
      'WORKDIR /w',
      'COPY --link x1.txt .',
    ),
    files: tree,
  },
  {
    name: 'copy-link-symlinked-destination',
    dockerfile: 'FROM busybox\nRUN ln -s /var /alias\nCOPY --link x1.txt /alias/f\n',
    files: tree,
  },
  {
    name: 'copy-exclude',
    dockerfile: lines(
      'FROM busybox',
      'COPY --exclude=*.txt --exclude=**/c . /a/',
      'COPY --exclude=sub src /b',
      'COPY --exclude=**/*.sh --exclude=!**/b.sh src /c',
      'COPY --exclude=a.txt src/* /d/',
      'ADD --exclude=package*.json *.json x?.txt /e/',
      'COPY --link --exclude=src . /f',
      'ENV E=x1',
      'COPY --exclude=$E.txt x*.txt /g/',
    ),
    files: { ...tree, '.dockerignore': 'Dockerfile\n.dockerignore\n' },
  },
  {
    name: 'copy-parents',
    dockerfile: lines(
      'FROM busybox',
      'COPY --parents src/sub/b.sh package.json /a/',
      'COPY --parents src/./sub/b.sh src/./a.txt /b/',
      'COPY --parents ./src/*/deep /c',
      'COPY --parents --exclude=**/b.sh src/./sub /d/',
      'COPY --parents **/*.txt /e/',
    ),
    files: tree,
    byHand: NO_LABS,
  },
  {
    name: 'copy-wildcards',
    dockerfile: lines(
      'FROM busybox',
      'COPY x[12].txt /a/',
      'COPY x[^1].txt /b/',
      'COPY sr? /c/',
      'COPY */a.txt /d/',
      'COPY src/* /e/',
      'COPY x\\[1\\].txt* /f/',
      'COPY ["with space.txt", "src/a.txt", "/g h/"]',
      'COPY **/c /i/',
    ),
    files: { ...tree, 'x[1].txt': 'b', 'with space.txt': 's' },
  },
  {
    name: 'copy-destinations',
    dockerfile: lines(
      'FROM busybox',
      'WORKDIR /w/x',
      'COPY x1.txt .',
      'COPY x1.txt ./name',
      'COPY x1.txt ../up',
      'COPY x1.txt deep/er/',
      'COPY x1.txt x2.txt ./',
      'COPY src ../../s',
      'COPY src/ .',
      'COPY . /all/',
      'COPY /x1.txt /root-slash',
      'COPY ./src/../x2.txt /dots',
      'COPY ../../x2.txt /escape',
      'COPY x1.txt /bin',
      'COPY x1.txt /etc/passwd',
    ),
    files: { ...tree, '.dockerignore': 'src/sub\n' },
  },
  {
    name: 'copy-over-symlinks',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir -p /real/sub && ln -s /real /abs && ln -s real /rel && ln -s nowhere /dang ' +
        '&& ln -s /real/sub/t /file && echo t > /real/sub/t',
      'COPY src /abs',
      'COPY x1.txt /rel/',
      'COPY x1.txt /abs/sub/new',
      'COPY x2.txt /file',
      'COPY src /rel/via/',
    ),
    files: tree,
  },
  {
    name: 'copy-symlink-sources',
    dockerfile: lines(
      'FROM busybox AS a',
      'RUN mkdir -p /d/e && echo f > /d/e/f && ln -s e /d/l && ln -s /d/e/f /d/abs && ln -s ' +
        '../d/l/f /d/through && ln /d/e/f /d/hard',
      'FROM busybox',
      'COPY --from=a /d /copied',
      'COPY --from=a /d/l /dirlink',
      'COPY --from=a /d/l/f /deref',
      'COPY --from=a /d/abs /d/through /files/',
      'COPY --from=a /d/* /glob/',
      'COPY links/up /up',
      'COPY links /links',
    ),
    files: { 'links/t': 't', 'other/o': 'o' },
    links: {
      'links/up': '../other',
      'links/self': 'self',
      'links/out': '../../../etc/passwd',
      'links/abs': '/bin/sh',
    },
  },
  {
    name: 'copy-xattrs',
    dockerfile:
      'FROM busybox AS a\n' +
      'COPY f g /x/\n' +
      'FROM busybox\n' +
      'COPY --from=a /x /y\n' +
      'COPY --from=a --chown=3:4 /x /z\n',
    files: { f: 'f', g: 'g' },
    xattrs: { f: { 'user.note': 'aGk=' }, g: { 'security.capability': CAPABILITY } },
    differs: {
      why:
        'Docker gives the files of a context their owner after their capabilities, and the ' +
        'kernel takes those away again',
      expect: ({ tree, ...rest }) => {
        const capable = {
          'security.capability': Buffer.from(CAPABILITY, 'base64').toString('latin1'),
        };
        for (const path of ['/y/g', '/z/g']) tree[path] = { ...tree[path], xattrs: capable };
        return { tree, ...rest };
      },
    },
  },
  {
    name: 'copy-xattrs-of-archive',
    dockerfile:
      'FROM busybox AS a\n' +
      'ADD t.tar /x/\n' +
      'FROM busybox\n' +
      'COPY --from=a /x /y\n' +
      'COPY --from=a --chown=3:4 /x /z\n' +
      'ADD t.tar /w/\n',
    files: { 'in/f': 'f', 'in/g': 'g' },
    xattrs: { 'in/f': { 'user.note': 'aGk=' }, 'in/g': { 'security.capability': CAPABILITY } },
    archives: { 't.tar': { of: 'in' } },
  },
  {
    name: 'copy-heredocs',
    dockerfile: lines(
      'FROM busybox',
      'ARG X=arg',
      'COPY <<a <<"b" <<-c x1.txt /dir/',
      'X is $X ${X:-d} \\$X \\\\ "q" \'s $X\'',
      'a',
      'X is $X \\$X',
      'b',
      '\t\tc $X',
      '\tc',
      'COPY --chown=www-data --chmod=0600 <<EOF /etc/conf.d/file.conf',
      '# comment $X',
      '',
      'end',
      'EOF',
      'ADD <<file.txt /added/',
      'add',
      'file.txt',
      'COPY <<EOF /empty',
      'EOF',
      'COPY --link <<EOF /linked/',
      'l',
      'EOF',
    ),
    files: tree,
  },
  {
    name: 'add-archives',
    dockerfile: lines(
      'FROM busybox',
      'ADD t.tar /tar/',
      'ADD t.tar.gz /gz/',
      'ADD t.tar.bz2 /bz2/',
      'ADD t.tar.xz /xz/',
      'ADD t.tar.zst /zst',
      'ADD t.* /many/',
      'ADD --chown=7:8 t.tar.gz /owned',
      'ADD misnamed.txt /guessed/',
      'COPY t.tar.gz /copied/',
    ),
    files: { 'in/f': 'f\n', 'in/d/g': 'g\n' },
    modes: { 'in/f': 0o640, 'in/d': 0o711 },
    links: { 'in/l': 'f' },
    archives: {
      't.tar': { of: 'in' },
      't.tar.gz': { of: 'in', program: 'gzip' },
      't.tar.bz2': { of: 'in', program: 'bzip2' },
      't.tar.xz': { of: 'in', program: 'xz' },
      't.tar.zst': { of: 'in', program: 'zstd' },
      'misnamed.txt': { of: 'in', program: 'gzip' },
    },
  },
  {
    name: 'add-unpack',
    dockerfile: lines(
      'FROM busybox',
      'ADD --unpack=true t.tar.gz /a/',
      'ADD --unpack=false t.tar.gz /b/',
      'ADD --unpack=false t.tar.gz /c',
      'ADD --link t.tar.gz /d/',
    ),
    files: { 'in/f': 'f\n' },
    archives: { 't.tar.gz': { of: 'in', program: 'gzip' } },
  },
  {
    name: 'add-over',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir -p /x/d && echo old > /x/f && ln -s d /x/l && echo keep > /x/d/keep && ' +
        'chmod 700 /x/d',
      'ADD t.tar /x',
      'ADD in2.tar /',
    ),
    files: {
      'in/f': 'new\n',
      'in/d/g': 'g\n',
      'in/l/h': 'h\n',
      'two/etc/group': 'x:x:1:\n',
      'two/usr/new': 'n',
    },
    archives: { 't.tar': { of: 'in' }, 'in2.tar': { of: 'two' } },
  },
  { name: 'copy-missing', dockerfile: 'FROM busybox\nCOPY nosuch /\n', refused: true },
  {
    name: 'copy-missing-from',
    dockerfile: 'FROM busybox\nCOPY --from=busybox /nosuch /\n',
    refused: true,
  },
  { name: 'copy-glob-nothing', dockerfile: 'FROM busybox\nCOPY nosuch* x1.txt /a/\n', files: tree },
  { name: 'copy-many-to-file', dockerfile: 'FROM busybox\nCOPY x1.txt x2.txt /a\n', files: tree },
  {
    name: 'copy-dir-over-file',
    dockerfile: 'FROM busybox\nCOPY src /etc/passwd\n',
    files: tree,
    refused: true,
  },
  {
    name: 'copy-chown-missing',
    dockerfile: 'FROM busybox\nCOPY --chown=nosuch x1.txt /a\n',
    files: tree,
  },
  {
    name: 'copy-no-destination',
    dockerfile: 'FROM busybox\nCOPY x1.txt\n',
    files: tree,
    refused: true,
  },
  {
    name: 'copy-json-broken',
    dockerfile: "FROM busybox\nCOPY ['x1.txt', '/a']\n",
    files: tree,
    refused: true,
  },
  {
    name: 'copy-flag-after',
    dockerfile: 'FROM busybox\nCOPY x1.txt --chown=1 /a/\n',
    files: tree,
    refused: true,
  },
];
