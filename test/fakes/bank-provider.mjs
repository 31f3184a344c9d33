// A real OpenID provider (npm oidc-provider) in a process of its own: its libraries make code from strings, which the
// gateway's Node refuses. The parent says over IPC who "sits at the browser"; there is no page to fill in.
import http from 'node:http';
import Provider from 'oidc-provider';

let user = null;

const server = http.createServer();
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));

process.on('message', (message) => {
  if (message.start) start(message.start);
  if ('user' in message) user = message.user;
  process.send({ done: true });
});
process.on('disconnect', () => process.exit(0));

function start({ clientId, clientSecret, redirectUri }) {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const claims = ['preferred_username', 'roles', 'department', 'clearance', 'branch'];
  const provider = new Provider(issuer, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri] }],
    claims: { openid: ['sub', 'acr', 'amr'], profile: claims, auth_time: null, iss: null, sid: null },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    cookies: { keys: ['test'] },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...user?.claims }) }),
    loadExistingGrant: async (ctx) => {
      const { session, client } = ctx.oidc;
      const grant = new ctx.oidc.provider.Grant({ accountId: session.accountId, clientId: client.clientId });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
  });
  const answer = provider.callback();
  server.on('request', async (request, response) => {
    if (!request.url.startsWith('/interaction/')) return answer(request, response);
    const login = { accountId: user.sub, acr: user.acr, amr: user.amr, remember: true };
    await provider.interactionFinished(request, response, { login });
  });
}
