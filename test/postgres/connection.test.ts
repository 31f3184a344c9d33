import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientConfig, loginOf } from '#postgres/connection.ts';

const options = { applicationName: 'test' };
const config = (url: string) => clientConfig(url, options);

describe('database URLs', () => {
  it('allow a server on this machine without TLS', () => {
    for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '[::1]']) {
      assert.equal(config(`postgres://u:p@${host}:5432/db`).ssl, false, host);
    }
    assert.equal(config('postgres://u@/db?host=/var/run/postgresql').host, '/var/run/postgresql');
  });

  it('demand TLS with a verified name from every other server', () => {
    for (const url of ['postgres://u:p@db.bank.example/db', 'postgres://u:p@10.0.0.5/db?sslmode=verify-full']) {
      const { ssl } = config(url);
      assert.ok(typeof ssl === 'object' && ssl.rejectUnauthorized === true && ssl.checkServerIdentity === undefined);
    }
    for (const mode of ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'no-verify']) {
      assert.throws(() => config(`postgres://u:p@db.bank.example/db?sslmode=${mode}`), /needs sslmode=verify-full/);
    }
  });

  it('are not overruled by parameters', () => {
    assert.throws(() => config('postgres://u:p@localhost/db?host=evil.example'), /parameter host/);
    assert.throws(() => config('postgres://u:p@localhost/db?host=/tmp'), /parameter host/);
    assert.throws(() => config('postgres://u:p@db.bank.example/db?sslrootcert=/x'), /sslrootcert/);
    assert.throws(() => config('postgres://u:p@localhost/db?options=-csearch_path%3Devil'), /options/);
  });

  it('are named by their fault and never by their value', () => {
    for (const url of [
      'not a url hunter2',
      'mysql://u:hunter2@h/db',
      'postgres://:hunter2@h/db',
      'postgres://u:hunter2@h',
    ]) {
      assert.throws(
        () => config(url),
        (error: Error) => !error.message.includes('hunter2') && !('input' in error),
      );
    }
  });

  it('leave nothing to be looked up in the environment', () => {
    process.env['PGPASSWORD'] = 'from-the-environment';
    process.env['PGOPTIONS'] = '-c search_path=evil';
    try {
      const { password, options: startup, ssl } = config('postgres://u@localhost/db');
      assert.equal(typeof password === 'function' ? password() : password, '');
      assert.match(startup ?? '', /search_path=strongroom/);
      assert.equal(ssl, false);
    } finally {
      delete process.env['PGPASSWORD'];
      delete process.env['PGOPTIONS'];
    }
  });

  it('give the login, decoded', () => assert.equal(loginOf('postgres://a%40b:p@localhost/db'), 'a@b'));

  it('need a driver that waits longer than the server', () => {
    assert.throws(() =>
      clientConfig('postgres://u@localhost/db', { ...options, statementTimeoutMs: 500, queryTimeoutMs: 500 }),
    );
  });
});
