import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { sendProblem } from '#http/problem-json.ts';
import { Problem, type ProblemCode } from '#kernel/problem.ts';

describe('a problem on the wire', () => {
  const retryAfter = (code: ProblemCode, seconds?: number) => {
    const response = new ServerResponse(new IncomingMessage(new Socket()));
    sendProblem(
      response,
      new Problem(code, seconds === undefined ? {} : { retryAfter: seconds }),
      '/v1/models',
      'req_1',
    );
    return [response.statusCode, response.getHeader('retry-after')];
  };

  it('that passes says when to try again, whether or not anybody knows', () => {
    assert.deepEqual(retryAfter('rate_limit_exceeded', 42), [429, '42']);
    assert.deepEqual(retryAfter('rate_limit_exceeded'), [429, '5']);
    for (const code of [
      'model_not_loaded',
      'model_loading',
      'engine_failed',
      'audit_unavailable',
      'overloaded',
    ] as const)
      assert.deepEqual(retryAfter(code), [503, '5'], code);
  });

  it('that stays says nothing of it', () => {
    for (const code of ['forbidden', 'not_found', 'internal', 'schema_invalid'] as const)
      assert.equal(retryAfter(code)[1], undefined, code);
  });
});
