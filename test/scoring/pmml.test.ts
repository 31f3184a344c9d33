import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PmmlFault, readPmml } from '#scoring/pmml.saxes.ts';
import { ScoreModel } from '#scoring/score-model.contract.ts';
import { modelFaults, plainScore } from '#scoring/score-model.ts';

const NAMING = { id: 'taken-over', version: 1, title: 'Taken over' };

const pmml = ({ model = '', table = '', transform = '', fields = '', more = '', head = '' } = {}): string =>
  `<?xml version="1.0"?>${head}<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/>
  <DataDictionary>${fields || '<DataField name="age" optype="continuous" dataType="double"><Interval closure="closedClosed" leftMargin="18" rightMargin="80"/></DataField><DataField name="debt" optype="continuous" dataType="double"><Interval closure="closedClosed" leftMargin="0" rightMargin="2"/></DataField><DataField name="bad" optype="categorical" dataType="string"><Value value="1"/></DataField>'}</DataDictionary>
  <RegressionModel functionName="classification" normalizationMethod="logit" ${model}><MiningSchema/>
  <LocalTransformations>${transform || '<DerivedField name="age_z" optype="continuous" dataType="double"><NormContinuous field="age"><LinearNorm orig="0" norm="-4"/><LinearNorm orig="40" norm="0"/></NormContinuous></DerivedField>'}</LocalTransformations>
  <RegressionTable intercept="-1.5" targetCategory="1">${table || '<NumericPredictor name="age_z" coefficient="-0.5"/><NumericPredictor name="debt" exponent="1" coefficient="1.25"/>'}</RegressionTable>
  <RegressionTable intercept="0" targetCategory="0"/>${more}</RegressionModel></PMML>`;

const faultOf = (xml: string): string => {
  try {
    readPmml(xml, NAMING);
  } catch (thrown) {
    assert.ok(thrown instanceof PmmlFault, String(thrown));
    return thrown.message;
  }
  return 'none';
};

describe('a regression in PMML', () => {
  it('becomes a score model that computes the same', () => {
    const model = readPmml(pmml(), NAMING);
    assert.deepEqual(modelFaults(model), []);
    assert.equal(ScoreModel.safeParse({ schema: 'score-model/1', ...model }).success, true);
    const z = -1.5 - 0.5 * ((50 - 40) / 10) + 1.25 * 0.4;
    assert.ok(Math.abs(plainScore(model, [50, 0.4]) - 1 / (1 + Math.exp(-z))) < 1e-12);
    assert.deepEqual(
      model.features.map(({ name }) => name),
      ['age', 'debt'],
    );
  });

  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['another kind of model', pmml().replaceAll('RegressionModel', 'TreeModel'), /TreeModel in PMML is not supported/],
    [
      'a categorical predictor',
      pmml({ table: '<CategoricalPredictor name="a" value="1" coefficient="1"/>' }),
      /CategoricalPredictor/,
    ],
    ['an interaction', pmml({ table: '<PredictorTerm coefficient="1"/>' }), /PredictorTerm in RegressionTable/],
    ['an exponent', pmml({ table: '<NumericPredictor name="debt" exponent="2" coefficient="1"/>' }), /exponent/],
    ['another link', pmml().replace('"logit"', '"probit"'), /normalizationMethod probit/],
    [
      'a formula',
      pmml({ transform: '<DerivedField name="x"><Apply function="ln"/></DerivedField>' }),
      /Apply in DerivedField/,
    ],
    ['an unbounded field', pmml({ fields: '<DataField name="age"/><DataField name="debt"/>' }), /without an Interval/],
    ['two scores', pmml({ more: '<RegressionTable intercept="3"/>' }), /exactly one score/],
    [
      'a coefficient that is no number',
      pmml({ table: '<NumericPredictor name="debt" coefficient="1e999"/>' }),
      /no number/,
    ],
    ['an unknown attribute of the model', pmml({ model: 'x="1"' }), /attribute x/],
    ['a document type', pmml({ head: '<!DOCTYPE x [<!ENTITY a "b">]>' }), /document type/],
    ['half a file', pmml().slice(0, -20), /no XML/],
    ['a thousand levels', '<a>'.repeat(1000), /nests too deep/],
    ['two megabytes', ' '.repeat(2_000_000), /larger than 1 MiB/],
    ['nothing', '', /empty|no XML/],
  ];
  for (const [name, xml, message] of refused) {
    it(`with ${name} is refused by name`, () => assert.match(faultOf(xml), message));
  }
});
