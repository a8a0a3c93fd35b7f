// An independent OpenID provider (npm oidc-provider) that behaves well.
//
//   node provider.mjs SETTINGS.json
//
// prints one line of JSON once it listens. The accounts are read again at each sign-in.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.env.MODULES}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const accounts = () => JSON.parse(readFileSync(settings.accounts, 'utf8'));

const server = createServer();
await new Promise((listening) => server.listen(settings.port, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'holdpoint',
      client_secret: settings.client_secret,
      redirect_uris: [`${settings.holdpoint}/signin/oidc/callback`],
      grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      backchannel_logout_uri: `${settings.holdpoint}/signin/oidc/backchannel-logout`,
      backchannel_logout_session_required: true,
    },
  ],
  jwks: settings.jwks,
  cookies: { keys: ['of this test'] },
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  claims: {
    openid: ['sub', 'groups', '_claim_names', 'hasgroups'],
    email: ['email', 'email_verified'],
    profile: ['name'],
  },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  // Its guard against requests to this machine would keep its logout tokens from us.
  fetch: (url, { dispatcher, agent, ...options }) => fetch(url, options),
  async findAccount(_, id) {
    const claims = accounts()[id];
    return claims && { accountId: id, claims: async () => ({ ...claims, sub: id }) };
  },
});
provider.on('server_error', (_, error) => console.error(error));
provider.on('backchannel.error', (_, error) => console.error(error));
server.on('request', provider.callback());
console.log(JSON.stringify({ issuer }));
