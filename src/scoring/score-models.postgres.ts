import { prepared, type Queryable } from '#postgres/pool.ts';
import type { ScoreModelDocument } from './score-model.ts';
import type { InstalledModel, ScoreModelStore } from './score-models.ts';

interface Row {
  id: string;
  version: number;
  sha256: string;
  document: string;
  classification: number;
  active: boolean;
  installed_by: string;
  installed_at: Date;
}

const MODELS = prepared<Row>('score_models', 'SELECT * FROM strongroom.score_models($1)');

export const postgresScoreModels = (pool: Queryable): ScoreModelStore => {
  const read = async (all: boolean): Promise<InstalledModel[]> => {
    const { rows } = await MODELS(pool, all);
    return rows.map(({ document, installed_by, installed_at, ...row }) => ({
      ...row,
      document: JSON.parse(document) as ScoreModelDocument,
      installedBy: installed_by,
      installedAt: installed_at.toISOString(),
    }));
  };
  return { active: () => read(false), all: () => read(true) };
};
