import { DEFAULT_DOMAIN } from '../../base/reference.ts';
import { hostOfKey } from '../../registry/docker-config.ts';
import { verifyLogin } from '../../registry/login.ts';
import type { DockerHost } from '../docker-host.ts';
import { json } from '../http/answers.ts';
import type { Handler } from '../http/docker-request.ts';
import { jsonBody } from '../http/json-body.ts';

/** `POST /auth`: asks the registry whether it accepts a login. The client keeps it, not Kiln. */
export function checkLogin({ engine }: DockerHost): Handler {
  return async ({ body, signal }, response) => {
    const login = await jsonBody(body);
    const text = (name: string) => (typeof login[name] === 'string' ? `${login[name]}` : '');
    const host = hostOfKey(text('serveraddress') || DEFAULT_DOMAIN);
    await verifyLogin(
      host,
      { username: text('username'), password: text('password') },
      await engine.settings.registry(),
      signal,
    );
    json(response, { Status: 'Login Succeeded', IdentityToken: '' });
  };
}
