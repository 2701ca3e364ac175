import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../../base/errors.ts';
import { askedEntitlements, frontendOptions } from './build-options.ts';

const optionsOf = (query: Record<string, string> | string) =>
  frontendOptions(new URLSearchParams(query));

test('the parameters of docker build become the options of the frontend', () => {
  assert.equal(
    optionsOf({
      dockerfile: 'sub/Other',
      target: 't',
      platform: 'linux/arm64',
      nocache: '1',
      pull: '1',
      networkmode: 'none',
      buildargs: '{"A":"b","UNSET":null}',
      labels: '{"l":"m"}',
      extrahosts: 'db:10.0.0.1,six:::1',
      shmsize: '67108864',
      memory: '1073741824',
      memswap: '-1',
      cpuquota: '50000',
      cpusetcpus: '0',
      cgroupparent: '/builds',
      ulimits: '[{"Name":"nofile","Hard":222,"Soft":111}]',
      cachefrom: '["a:1","b"]',
      rm: '1',
      version: '1',
    }),
    {
      target: 't',
      platform: 'linux/arm64',
      'cgroup-parent': '/builds',
      'cpuset-cpus': '0',
      'shm-size': '67108864',
      memory: '1073741824',
      'memory-swap': '-1',
      'cpu-quota': '50000',
      filename: 'sub/Other',
      'no-cache': '',
      'image-resolve-mode': 'pull',
      'force-network-mode': 'none',
      'build-arg:A': 'b',
      'label:l': 'm',
      'add-hosts': 'db=10.0.0.1,six=::1',
      ulimit: 'nofile=111:222',
      'cache-from': 'a:1,b',
    },
  );
});

test('what clients send as zero or nothing says nothing', () => {
  const query =
    'buildargs={}&cachefrom=null&cgroupparent=&cpuperiod=0&labels=null&memory=0' +
    '&networkmode=default&shmsize=0&target=&ulimits=null&remote=&pull=&nocache=0';
  assert.equal(optionsOf(query), { filename: 'Dockerfile' });
  assert.equal(optionsOf('remote=client-session'), { filename: 'Dockerfile' });
  assert.equal(optionsOf('remote=https://example.com/a.git'), {
    filename: 'Dockerfile',
    context: 'https://example.com/a.git',
  });
});

test('only the network of the host is an entitlement', () => {
  assert.equal(askedEntitlements(new URLSearchParams('networkmode=host')), ['network.host']);
  assert.equal(askedEntitlements(new URLSearchParams('networkmode=none')), []);
});

test('a parameter that does not have its form is named', () => {
  for (const query of [
    'buildargs={',
    'buildargs=[]',
    'buildargs={"a":1}',
    'labels="x"',
    'cachefrom={}',
    'cachefrom=[1]',
    'ulimits={}',
    'ulimits=[null]',
    'networkmode=container:x',
  ])
    try {
      optionsOf(query);
      assert.unreachable(query);
    } catch (error) {
      const { code, message } = error as KilnError;
      assert.match(code, /^KILN_REQUEST_(INVALID|UNSUPPORTED)$/);
      const [name = ''] = query.split('=');
      assert.match(message, name === 'networkmode' ? 'network' : name);
    }
});

test.run();
