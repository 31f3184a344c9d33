import { SaxesParser } from 'saxes';
import type { ScoreModelDocument } from './score-model.ts';
import { plainScore } from './score-model.ts';

/** What a PMML file does not say, or says in words that are no data. */
export interface Naming {
  readonly id: string;
  readonly version: number;
  readonly title: string;
}

/** Why a file can not be taken over: the element, and what about it. */
export class PmmlFault extends Error {
  override readonly name = 'PmmlFault';
}

interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: Element[];
}

/** Much more than a regression needs. */
const MOST_BYTES = 1024 * 1024;
const DEEPEST = 32;
/** What says nothing about the computation. */
const SILENT: ReadonlySet<string> = new Set([
  'Header',
  'Extension',
  'MiningBuildTask',
  'ModelStats',
  'Timestamp',
  'Annotation',
]);
const ATTRIBUTES_OF_MODEL: ReadonlySet<string> = new Set([
  'functionName',
  'algorithmName',
  'modelName',
  'normalizationMethod',
  'targetFieldName',
  'modelType',
  'isScorable',
]);

/**
 * A `RegressionModel` of PMML 4.x as a score model: numeric predictors with exponent 1, `normalizationMethod` none or logit
 * (softmax of two categories is the same), scales from `NormContinuous`, clips from `Interval`. Anything else
 * is refused by the name of its element: a model that is nearly taken over is another model.
 *
 * @throws PmmlFault
 */
export function readPmml(xml: string, naming: Naming): ScoreModelDocument {
  const root = treeOf(xml);
  if (root.name !== 'PMML') throw new PmmlFault(`<${root.name}> is no PMML`);
  allowOnly(root, ['DataDictionary', 'TransformationDictionary', 'RegressionModel']);
  const model = one(root, 'RegressionModel');
  const unknown = Object.keys(model.attributes).find((name) => !ATTRIBUTES_OF_MODEL.has(name));
  if (unknown !== undefined) throw new PmmlFault(`RegressionModel: the attribute ${unknown} is not supported`);
  allowOnly(model, ['MiningSchema', 'Output', 'LocalTransformations', 'RegressionTable', 'ModelVerification']);
  const table = tableOf(model);
  const scales = scalesOf([...find(root, 'TransformationDictionary'), ...find(model, 'LocalTransformations')]);
  const clips = clipsOf(one(root, 'DataDictionary'));
  const link = linkOf(model);
  allowOnly(table, ['NumericPredictor']);
  const predictors = table.children.filter(({ name }) => name === 'NumericPredictor');
  if (predictors.length === 0) throw new PmmlFault('RegressionTable: it has no NumericPredictor');
  const features = predictors.map((predictor) => {
    const used = attribute(predictor, 'name');
    const { field, mean, scale } = scales.get(used) ?? { field: used, mean: 0, scale: 1 };
    const raw = clips.get(field);
    if (raw === undefined) {
      throw new PmmlFault(
        `DataField ${field}: without an Interval its values have no bound, and a score could wrap around`,
      );
    }
    const [low, high] = raw.map((bound) => (bound - mean) / scale) as [number, number];
    return { name: field, mean, scale, clip: [low, high] as const };
  });
  const weights = predictors.map((predictor) => {
    if (Number(predictor.attributes['exponent'] ?? '1') !== 1) {
      throw new PmmlFault('NumericPredictor: an exponent other than 1 is not supported');
    }
    return number(predictor, 'coefficient');
  });
  const document: ScoreModelDocument = {
    ...naming,
    kind: link === 'logit' ? 'logistic' : 'linear',
    params: 'lin-4096/1',
    features,
    weights,
    bias: number(table, 'intercept'),
    link,
    decimals: 4,
    provenance: `Taken over from PMML ${root.attributes['version'] ?? ''}: ${model.attributes['modelName'] ?? 'without a name'}.`,
    testVectors: [],
  };
  // Where the file brings no cases of its own, three that lie within its bounds hold the encrypted path to the plain one.
  const testVectors = [0.25, 0.5, 0.75].map((share) => {
    const x = features.map(({ mean, scale, clip: [low, high] }) => mean + scale * (low + share * (high - low)));
    return { x, score: plainScore(document, x) };
  });
  return { ...document, testVectors };
}

/** Two tables are one score where the other one is nought throughout. */
function tableOf(model: Element): Element {
  const tables = find(model, 'RegressionTable');
  const filled = tables.filter(
    (table) => table.children.length > 0 || Number(table.attributes['intercept'] ?? '0') !== 0,
  );
  const [first] = filled.length === 0 ? tables : filled;
  if (first === undefined || filled.length > 1 || tables.length > 2) {
    throw new PmmlFault('RegressionTable: exactly one score is supported');
  }
  return first;
}

function linkOf({ attributes }: Element): 'logit' | 'none' {
  const method = attributes['normalizationMethod'] ?? 'none';
  if (method === 'none') return 'none';
  if (method === 'logit' || method === 'softmax') return 'logit';
  throw new PmmlFault(`RegressionModel: the normalizationMethod ${method} is not supported`);
}

interface Scale {
  readonly field: string;
  readonly mean: number;
  readonly scale: number;
}

/** `(x - mean) / scale`, as NormContinuous says it with two points of a line. */
function scalesOf(dictionaries: readonly Element[]): ReadonlyMap<string, Scale> {
  const scales = new Map<string, Scale>();
  for (const dictionary of dictionaries) {
    allowOnly(dictionary, ['DerivedField']);
    for (const derived of find(dictionary, 'DerivedField')) {
      allowOnly(derived, ['NormContinuous']);
      const norm = one(derived, 'NormContinuous');
      allowOnly(norm, ['LinearNorm']);
      const points = find(norm, 'LinearNorm');
      const [first, second] = points;
      if (first === undefined || second === undefined || points.length !== 2) {
        throw new PmmlFault('NormContinuous: exactly two LinearNorm are supported');
      }
      if ((norm.attributes['outliers'] ?? 'asIs') !== 'asIs')
        throw new PmmlFault('NormContinuous: outliers must be asIs');
      const slope = (number(second, 'norm') - number(first, 'norm')) / (number(second, 'orig') - number(first, 'orig'));
      if (!(slope > 0) || !Number.isFinite(slope)) throw new PmmlFault('NormContinuous: the line must rise');
      const scale = 1 / slope;
      const mean = number(first, 'orig') - number(first, 'norm') * scale;
      scales.set(attribute(derived, 'name'), { field: attribute(norm, 'field'), mean, scale });
    }
  }
  return scales;
}

function clipsOf(dictionary: Element): ReadonlyMap<string, readonly [number, number]> {
  allowOnly(dictionary, ['DataField']);
  const clips = new Map<string, readonly [number, number]>();
  for (const field of find(dictionary, 'DataField')) {
    allowOnly(field, ['Interval', 'Value']);
    const [interval] = find(field, 'Interval');
    if (interval !== undefined) {
      clips.set(attribute(field, 'name'), [number(interval, 'leftMargin'), number(interval, 'rightMargin')]);
    }
  }
  return clips;
}

const find = ({ children }: Element, name: string): Element[] => children.filter((child) => child.name === name);

function one(parent: Element, name: string): Element {
  const [first, second] = find(parent, name);
  if (first === undefined || second !== undefined)
    throw new PmmlFault(`${parent.name}: exactly one ${name} is expected`);
  return first;
}

function allowOnly(parent: Element, names: readonly string[]): void {
  const other = parent.children.find(({ name }) => !names.includes(name) && !SILENT.has(name));
  if (other !== undefined) throw new PmmlFault(`${other.name} in ${parent.name} is not supported`);
}

function attribute(element: Element, name: string): string {
  const value = element.attributes[name];
  if (value === undefined) throw new PmmlFault(`${element.name}: the attribute ${name} is missing`);
  return value;
}

function number(element: Element, name: string): number {
  const text = attribute(element, name);
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new PmmlFault(`${element.name}: ${name} is no number`);
  return value;
}

/** No document type, no entity but XML's own five, and no deeper than a regression ever is. */
function treeOf(xml: string): Element {
  if (xml.length > MOST_BYTES) throw new PmmlFault('the file is larger than 1 MiB');
  const parser = new SaxesParser();
  const open: Element[] = [];
  let root: Element | null = null;
  parser.on('error', (error) => {
    throw new PmmlFault(`this is no XML: ${error.message}`);
  });
  parser.on('doctype', () => {
    throw new PmmlFault('a document type is not taken: it could define entities');
  });
  parser.on('opentag', ({ name, attributes }) => {
    const element: Element = { name, attributes: { ...(attributes as Record<string, string>) }, children: [] };
    if (open.length >= DEEPEST) throw new PmmlFault('the file nests too deep');
    open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  });
  parser.on('closetag', () => {
    open.pop();
  });
  parser.write(xml).close();
  if (root === null) throw new PmmlFault('the file is empty');
  return root;
}
