"""Private synthetic tables: Private-GSD for marginals by an exact move engine, for any other query by its genetic algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.lazy import lazy_names

if TYPE_CHECKING:
    from synth.adaptive.measure_pairs import AdaptiveRecipe as AdaptiveRecipe
    from synth.budget import adaptive_budget as adaptive_budget
    from synth.budget import one_shot_budget as one_shot_budget
    from synth.column_shares import column_shares as column_shares
    from synth.consistency import consistent_one_ways as consistent_one_ways
    from synth.consistency import least_squares_answers as least_squares_answers
    from synth.constraints import Forbidden as Forbidden
    from synth.count_source import CountSource as CountSource
    from synth.counts import EncodedCounts as EncodedCounts
    from synth.decode import decode as decode
    from synth.domain.buy import buy_domain as buy_domain
    from synth.domain.compression import compress as compress
    from synth.domain.open_schema import BuyBounds as BuyBounds
    from synth.domain.open_schema import BuyCategories as BuyCategories
    from synth.domain.open_schema import BuyEdges as BuyEdges
    from synth.domain.open_schema import OpenSchema as OpenSchema
    from synth.domain.open_schema_file import read_open_schema as read_open_schema
    from synth.domain.plan import DomainPlan as DomainPlan
    from synth.draft import infer_schema as infer_schema
    from synth.duckdb_counts import DuckDbCounts as DuckDbCounts
    from synth.encode import encode as encode
    from synth.encoded import EncodedTable as EncodedTable
    from synth.evaluate import workload_error as workload_error
    from synth.ibis_counts import IbisCounts as IbisCounts
    from synth.k_way import fit_marginals as fit_marginals
    from synth.measure import measure_marginals as measure_marginals
    from synth.measure_family import measure_family as measure_family
    from synth.open_counts import count_source as count_source
    from synth.private_gsd import PrivateGSDSynthesizer as PrivateGSDSynthesizer
    from synth.queries.binary_tree import BinaryTreeMarginals as BinaryTreeMarginals
    from synth.queries.family import QueryFamily as QueryFamily
    from synth.queries.family import Workload as Workload
    from synth.queries.halfspace import Halfspace as Halfspace
    from synth.queries.marginals import Marginals as Marginals
    from synth.queries.prefix import Prefix as Prefix
    from synth.query_fit import fit_queries as fit_queries
    from synth.schema import Categorical as Categorical
    from synth.schema import Continuous as Continuous
    from synth.schema import Datetime as Datetime
    from synth.schema import Ordinal as Ordinal
    from synth.schema import Schema as Schema
    from synth.schema_file import read_schema as read_schema
    from synth.schema_file import write_schema as write_schema
    from synth.synthesis_record import SynthesisRecord as SynthesisRecord
    from synth.synthesis_record import synthesis_record as synthesis_record
    from synth.table_files import read_table as read_table
    from synth.table_files import write_table as write_table
    from synth.train_on_synthetic import train_on_synthetic as train_on_synthetic

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AdaptiveRecipe": "synth.adaptive.measure_pairs",
        "adaptive_budget": "synth.budget",
        "one_shot_budget": "synth.budget",
        "column_shares": "synth.column_shares",
        "consistent_one_ways": "synth.consistency",
        "least_squares_answers": "synth.consistency",
        "Forbidden": "synth.constraints",
        "CountSource": "synth.count_source",
        "EncodedCounts": "synth.counts",
        "decode": "synth.decode",
        "buy_domain": "synth.domain.buy",
        "compress": "synth.domain.compression",
        "BuyBounds": "synth.domain.open_schema",
        "BuyCategories": "synth.domain.open_schema",
        "BuyEdges": "synth.domain.open_schema",
        "OpenSchema": "synth.domain.open_schema",
        "read_open_schema": "synth.domain.open_schema_file",
        "DomainPlan": "synth.domain.plan",
        "infer_schema": "synth.draft",
        "DuckDbCounts": "synth.duckdb_counts",
        "encode": "synth.encode",
        "EncodedTable": "synth.encoded",
        "workload_error": "synth.evaluate",
        "IbisCounts": "synth.ibis_counts",
        "fit_marginals": "synth.k_way",
        "measure_marginals": "synth.measure",
        "measure_family": "synth.measure_family",
        "count_source": "synth.open_counts",
        "PrivateGSDSynthesizer": "synth.private_gsd",
        "BinaryTreeMarginals": "synth.queries.binary_tree",
        "QueryFamily": "synth.queries.family",
        "Workload": "synth.queries.family",
        "Halfspace": "synth.queries.halfspace",
        "Marginals": "synth.queries.marginals",
        "Prefix": "synth.queries.prefix",
        "fit_queries": "synth.query_fit",
        "Categorical": "synth.schema",
        "Continuous": "synth.schema",
        "Datetime": "synth.schema",
        "Ordinal": "synth.schema",
        "Schema": "synth.schema",
        "read_schema": "synth.schema_file",
        "write_schema": "synth.schema_file",
        "SynthesisRecord": "synth.synthesis_record",
        "synthesis_record": "synth.synthesis_record",
        "read_table": "synth.table_files",
        "write_table": "synth.table_files",
        "train_on_synthetic": "synth.train_on_synthetic",
    },
)
