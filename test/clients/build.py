"""Builds by docker-py, which has no BuildKit: build.py CONTEXT REGISTRY."""
import io
import sys
import tarfile

import docker

context, registry = sys.argv[1:]
client = docker.from_env()
assert client.ping()
print('api', client.version()['ApiVersion'])

image, log = client.images.build(
    path=context, tag='py:1', buildargs={'WORD': 'python'}, labels={'by': 'py'}, rm=True)
print('said', any('said python' in line.get('stream', '') for line in log))
print('label', image.labels['by'])
print('tags', image.tags)

dockerfile = b'FROM busybox\nRUN <<END\necho heredoc >/h\nEND\n'
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode='w:gz') as tar:
    info = tarfile.TarInfo('sub/Other')
    info.size = len(dockerfile)
    tar.addfile(info, io.BytesIO(dockerfile))
archive.seek(0)
client.images.build(fileobj=archive, custom_context=True, encoding='gzip',
                    dockerfile='sub/Other', tag='py:2', quiet=True)
print('layers', len(client.images.get('py:2').history()) > 1)

try:
    client.images.build(fileobj=io.BytesIO(b'FROM busybox\nRUN exit 7\n'), tag='py:3')
    print('no error')
except docker.errors.BuildError as error:
    print('build error', 'exit code: 7' in str(error))

image.tag(registry + '/py', tag='1')
pushed = [line for line in client.images.push(registry + '/py', tag='1', stream=True, decode=True)]
print('pushed', any('aux' in line for line in pushed), any('error' in line for line in pushed))
client.images.remove(registry + '/py:1')
print('pulled', client.images.pull(registry + '/py', tag='1').tags)
saved = b''.join(client.images.get('py:2').save(named=True))
client.images.remove('py:2', force=True)
print('loaded', client.images.load(saved)[0].tags)
print('listed', sorted(tag for one in client.images.list(name='py') for tag in one.tags))
try:
    client.images.get('none:1')
except docker.errors.ImageNotFound:
    print('not found')
print('pruned', client.images.prune()['SpaceReclaimed'] >= 0)
print('usage', client.df()['LayersSize'] > 0)
