// A real OpenID provider (npm oidc-provider) in a process of its own: its libraries make code from strings, which the
// gateway's Node refuses. The parent says over IPC who "sits at the browser"; there is no page to fill in.
import http from 'node:http';
import https from 'node:https';
import Provider from 'oidc-provider';

let user = null;
let provider = null;
let authority = null;

const server = http.createServer();
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));

process.on('message', async (message) => {
  if (message.start) start(message.start);
  if ('user' in message) user = message.user;
  if (message.logout) process.send({ token: await logout(message.logout) });
  else process.send({ done: true });
});
process.on('disconnect', () => process.exit(0));

function start({ clientId, clientSecret, redirectUri, logoutUri }) {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const claims = ['preferred_username', 'roles', 'department', 'clearance', 'branch'];
  const logoutSettings = logoutUri
    ? { backchannel_logout_uri: logoutUri, backchannel_logout_session_required: true }
    : {};
  provider = new Provider(issuer, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri], ...logoutSettings }],
    claims: { openid: ['sub', 'acr', 'amr'], profile: claims, auth_time: null, iss: null, sid: null },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
    fetch: post,
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

/** A logout token as the provider writes it; with `ca` the provider sends it itself. */
async function logout({ clientId, sub, sid, ca }) {
  const client = await provider.Client.find(clientId);
  if (ca) {
    authority = ca;
    await client.backchannelLogout(sub, sid);
    return null;
  }
  const token = new provider.IdToken({ sub }, { client, ctx: undefined });
  token.mask = { sub: null };
  token.set('events', { 'http://schemas.openid.net/event/backchannel-logout': {} });
  token.set('jti', crypto.randomUUID());
  if (sid) token.set('sid', sid);
  return token.issue({ use: 'logout' });
}

/** Node's own fetch takes no authority. */
function post(url, { method, headers, body }) {
  return new Promise((resolve, reject) => {
    const request = https.request(url, { method, ca: authority, headers: Object.fromEntries(new Headers(headers)) });
    request.on('error', reject);
    request.on('response', (answer) => {
      answer.resume();
      answer.on('end', () => resolve(new Response(null, { status: answer.statusCode })));
    });
    request.end(String(body));
  });
}
