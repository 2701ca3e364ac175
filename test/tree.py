#!/usr/bin/env python3
"""Reads an image in an OCI archive without Kiln's code: prints its flattened tree and its config as JSON.

  tree.py ARCHIVE [--base ARCHIVE] [--platform OS/ARCH]
With --base, entries that are the same in the base image are left out and removed ones are listed as null.
  tree.py --serve
answers lines of ["ARCHIVE", "BASE", "OS/ARCH"] by one line each.
"""
import argparse, gzip, hashlib, io, json, os, subprocess, sys, tarfile


def blob(tar, digest):
    data = tar.extractfile('blobs/' + digest.replace(':', '/')).read()
    if hashlib.sha256(data).hexdigest() != digest.split(':')[1]:
        raise SystemExit('blob %s does not match its digest' % digest)
    return data


def manifest(tar, platform):
    document = json.load(tar.extractfile('index.json'))
    while 'manifests' in document:
        entries = [m for m in document['manifests'] if m.get('platform', {}).get('os') != 'unknown']
        if platform:
            named = [m for m in entries if '%s/%s' % (m.get('platform', {}).get('os'), m.get('platform', {}).get('architecture')) == platform]
            entries = named or entries
        document = json.loads(blob(tar, entries[0]['digest']))
    return document


def unpacked(data):
    if data[:2] == b'\x1f\x8b':
        return gzip.decompress(data)
    if data[:4] == b'\x28\xb5\x2f\xfd':
        return subprocess.run(['zstd', '-dcq'], input=data, capture_output=True, check=True).stdout
    return data


KINDS = {tarfile.REGTYPE: 'file', tarfile.AREGTYPE: 'file', tarfile.DIRTYPE: 'dir', tarfile.SYMTYPE: 'symlink', tarfile.LNKTYPE: 'hardlink',
         tarfile.CHRTYPE: 'char', tarfile.BLKTYPE: 'block', tarfile.FIFOTYPE: 'fifo'}


def entry(layer, member):
    kind = KINDS[member.type]
    out = {'type': kind, 'mode': oct(member.mode), 'uid': member.uid, 'gid': member.gid, 'mtime': int(member.mtime)}
    if kind == 'file':
        out['size'] = member.size
        out['sha256'] = hashlib.sha256(layer.extractfile(member).read()).hexdigest()
    if kind in ('symlink', 'hardlink'):
        out['link'] = member.linkname if kind == 'symlink' else os.path.normpath('/' + member.linkname)
    xattrs = {k[len('SCHILY.xattr.'):]: v for k, v in member.pax_headers.items() if k.startswith('SCHILY.xattr.')}
    if xattrs:
        out['xattrs'] = xattrs
    return out


def read(path, platform):
    tar = tarfile.open(path)
    document = manifest(tar, platform)
    config = json.loads(blob(tar, document['config']['digest']))
    tree = {}
    for descriptor, diff_id in zip(document['layers'] or [], config['rootfs'].get('diff_ids') or []):
        data = unpacked(blob(tar, descriptor['digest']))
        if 'sha256:' + hashlib.sha256(data).hexdigest() != diff_id:
            raise SystemExit('layer does not match its diffID %s' % diff_id)
        layer = tarfile.open(fileobj=io.BytesIO(data))
        here = {}
        for member in layer:
            name = os.path.normpath('/' + member.name).replace('//', '/')
            parent, base = os.path.split(name)
            if base == '.wh..wh..opq':
                for key in [k for k in tree if k.startswith(parent.rstrip('/') + '/')]:
                    del tree[key]
            elif base.startswith('.wh.'):
                gone = os.path.join(parent, base[4:])
                for key in [k for k in tree if k == gone or k.startswith(gone + '/')]:
                    del tree[key]
            else:
                here[name] = entry(layer, member)
        for name, value in here.items():
            if value['type'] != 'dir' and tree.get(name, {}).get('type') == 'dir':
                for key in [k for k in tree if k.startswith(name + '/')]:
                    del tree[key]
            tree[name] = value
    return tree, config, len(document['layers'] or [])


BASES = {}


def compared(archive, base, platform):
    tree, config, layers = read(archive, platform)
    if base:
        if (base, platform) not in BASES:
            BASES[base, platform] = read(base, platform)
        base_tree, base_config, base_layers = BASES[base, platform]
        tree = {**{k: None for k in base_tree if k not in tree}, **{k: v for k, v in tree.items() if base_tree.get(k) != v}}
        config['history'] = (config.get('history') or [])[len(base_config.get('history', [])):]
        layers -= base_layers
    return {'tree': tree, 'config': config, 'layers': layers}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('archive', nargs='?')
    parser.add_argument('--base')
    parser.add_argument('--platform')
    parser.add_argument('--serve', action='store_true')
    args = parser.parse_args()
    if not args.serve:
        print(json.dumps(compared(args.archive, args.base, args.platform), indent=1, sort_keys=True))
        return
    for line in sys.stdin:
        try:
            answer = compared(*json.loads(line))
        except (Exception, SystemExit) as error:
            answer = {'error': str(error)}
        print(json.dumps(answer, sort_keys=True), flush=True)


main()
