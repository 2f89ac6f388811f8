//! What the databases do for a statement must not grow with what is in them: the plan of every
//! statement is looked at.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Row};

use crate::support::{Database, Setup, TestApp};

/// What stays small, so that it may be read whole.
const SMALL: [&str; 11] = [
    "_sqlx_migrations",
    "job_leases",
    // The last twenty are kept.
    "fsck_runs",
    // At most 10,000 are put there by a pass.
    "orphans",
    // Indexes of what is under way or about to go, and of the few who look after the service.
    "blobs_to_reap",
    "users_admins",
    // As SQLite calls them: the row of the view `clock`, rows that the statement brings along or finds one by one.
    "CONSTANT",
    "clock",
    "VALUES",
    "paths",
    // A page, before it is packed into one text.
    "(subquery-1)",
];

/// Statements that may read or sort more than a page: a piece of each, and why it may.
const MAY: [(&str, &str); 18] = [
    ("LIMIT 1) AS account", "stops at the first account"),
    ("ORDER BY COALESCE(", "a folder, or a prefix, in another order than its own is sorted: it costs what is in it"),
    ("f.location < $4 AND f.path = $5", "a prefix in a folder is sorted: it costs what is in the folder"),
    ("f.search LIKE $", "a search reads what the owner has, or what of it is in the folder or has the prefix"),
    ("FROM audit_events ORDER BY at DESC", "walks along its order until the page is full"),
    ("FROM audit_events WHERE kind = $2 ORDER BY at DESC", "admins alone look for a kind in everybody's trail"),
    ("SELECT path FROM paths", "sorts the few that are read at once"),
    ("FROM sessions WHERE user_id = $1 AND expires_at > $2", "an account has 1,000 sessions at most"),
    ("FROM api_tokens\n        WHERE user_id = $1", "the tokens of an account have a limit"),
    ("FROM upload_parts WHERE upload_id = $1", "an upload has 10,000 parts at most"),
    ("FROM link_downloads WHERE link_id = $1", "sorts the deliveries of one link that are under way"),
    ("UNION ALL SELECT tail_blob_id", "sorts two ids"),
    ("FROM erasures WHERE state = 'running' ORDER BY", "sorts the accounts that are going at this moment"),
    ("FROM fsck_runs ORDER BY id DESC", "the last twenty passes"),
    ("COALESCE(b.state, 'gone')", "fsck reads everything anyway"),
    ("UPDATE users SET updated_at = updated_at", "everything is counted anew, by hand"),
    ("SET used_bytes = counted.bytes", "everything is counted anew, by hand"),
    ("> (SELECT now FROM clock) + $1", "ends what a dead server held, at the start on SQLite alone"),
];

/// What of a plan would take longer with more rows.
type Faults = Vec<String>;

fn judge_sqlite(sql: &str, plan: &str) -> Faults {
    let is_small = |scanned: &str| scanned.split(' ').any(|word| SMALL.contains(&word));
    // Not the last terms of an order alone: those are ties.
    let sorts = ["TEMP B-TREE FOR ORDER", "TEMP B-TREE FOR GROUP", "TEMP B-TREE FOR DISTINCT", "AUTOMATIC"];
    let is_fault = |step: &&str| {
        let scans = step.strip_prefix("SCAN ").is_some_and(|scanned| !is_small(scanned));
        scans || sorts.iter().any(|sort| step.contains(sort))
    };
    let faults = plan.split("; ").filter(is_fault).map(str::to_owned);
    faults.chain(misses_the_index(sql, plan, ["path=?", "location<?", " id<?", ")<(?"])).collect()
}

fn judge_postgres(sql: &str, plan: &Value) -> Faults {
    let (mut faults, mut conditions) = (Faults::new(), String::new());
    judge_node(plan, &mut faults, &mut conditions);
    faults.extend(misses_the_index(sql, &conditions, ["path =", "location <", "(id <", "ROW("]));
    faults
}

/// Judges a step of PostgreSQL's and those below it, and gathers what their indexes are asked for.
fn judge_node(node: &Value, faults: &mut Faults, conditions: &mut String) {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let (kind, table, index) = (text("Node Type"), text("Relation Name"), text("Index Name"));
    let is_small = SMALL.contains(&table) || SMALL.contains(&index);
    *conditions += text("Index Cond");
    match kind {
        "Seq Scan" if !is_small => faults.push(format!("{kind} of {table}")),
        "Index Scan" | "Index Only Scan" | "Bitmap Index Scan" if !is_small && text("Index Cond").is_empty() => {
            faults.push(format!("{kind} of the whole of {index}"));
        }
        // One that is incremental sorts ties alone.
        "Sort" | "Hash" => faults.push(kind.to_owned()),
        _ => {}
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        judge_node(child, faults, conditions);
    }
}

/// What makes a list short has to be in what an index is asked for, and so has the place where a page begins.
/// The last four are how the plan says it, backwards or forwards.
fn misses_the_index(sql: &str, asked: &str, [path, location, id, row]: [&str; 4]) -> Option<String> {
    let asked = asked.replace('>', "<");
    let is_short = asked.contains(path) || asked.contains(location);
    if (sql.contains("f.path = $") || sql.contains("f.location >= $")) && !is_short {
        return Some("walks past what is in other folders".into());
    }
    let begins_at = |place: &str| ['<', '>'].iter().any(|beyond| sql.contains(&format!("{place} {beyond} ($")));
    let is_missing = (begins_at(", f.id)") || begins_at("(at, id)")) && !asked.contains(row)
        || begins_at("(f.id)") && !asked.contains(id);
    // Of what is sorted everything is read.
    let is_sorted = sql.contains("ORDER BY COALESCE(");
    (is_missing && !is_sorted).then(|| "begins a page before its cursor".into())
}

/// A statement, its faults, its plan.
type Judged = (String, Faults, String);

/// Asserts that no plan has a fault but those that may be, and notes which were needed.
fn assert_bounded(plans: &[Judged], needed: &mut [bool]) {
    let mut bad = String::new();
    for (sql, faults, plan) in plans.iter().filter(|(_, faults, _)| !faults.is_empty()) {
        let excuses: Vec<usize> = (0..MAY.len()).filter(|excuse| sql.contains(MAY[*excuse].0)).collect();
        excuses.iter().for_each(|excuse| needed[*excuse] = true);
        if excuses.is_empty() {
            bad += &format!("{sql}\n  {faults:?}\n  {plan}\n");
        }
    }
    assert!(bad.is_empty(), "these grow with what is in the database:\n{bad}");
}

#[tokio::test]
async fn no_statement_costs_more_because_there_is_more() {
    let mut needed = [false; MAY.len()];

    // Nobody makes statistics on SQLite, so its plans are the same however many rows there are.
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let mut plans = Vec::new();
    for sql in app.app.db.statements() {
        let plan = app.plan(&sql).await;
        plans.push((sql.clone(), judge_sqlite(&sql, &plan), plan));
    }
    assert_bounded(&plans, &mut needed);

    let app = TestApp::start(Setup::PostgresAndS3).await;
    let Database::Postgres(pool) = Database::of(&app.app.config).await else { unreachable!("it is PostgreSQL") };
    sqlx::raw_sql(include_str!("query_plans/rows.sql")).execute(&pool).await.expect("rows");
    let mut plans = Vec::new();
    for sql in app.app.db.statements() {
        // Without values: what a prepared statement may come to after a while.
        let explain = AssertSqlSafe(format!("EXPLAIN (GENERIC_PLAN, FORMAT JSON) {sql}"));
        let row = sqlx::raw_sql(explain).fetch_one(&pool).await.expect(&sql);
        let explained: Value = serde_json::from_str(row.try_get_raw(0).unwrap().as_str().unwrap()).unwrap();
        let plan = &explained[0]["Plan"];
        plans.push((sql.clone(), judge_postgres(&sql, plan), plan.to_string()));
    }
    assert_bounded(&plans, &mut needed);

    let vain: Vec<_> = MAY.iter().zip(needed).filter(|(_, needed)| !needed).collect();
    assert!(vain.is_empty(), "no statement needs these any more: {vain:?}");
}

/// Where a row is deleted, those that refer to it are looked for.
#[tokio::test]
async fn what_refers_to_a_row_is_found_by_an_index() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let without = "SELECT COALESCE(string_agg(c.conrelid::regclass || '.' || c.conname, ', '), '') FROM pg_constraint c
        WHERE c.contype = 'f' AND NOT EXISTS (SELECT FROM pg_index i
            WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]
                AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = '(tail_blob_id IS NOT NULL)'))";
    assert_eq!(app.text(without).await, "");
}
