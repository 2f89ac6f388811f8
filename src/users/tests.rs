//! Tests of behavior that is hard to observe through the API: races, expiry and stale proofs.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;

use super::*;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, StoreConfig};
use crate::error::{Error, Result};

pub const PASSWORD: &str = "violet tractor under rain";
const EMAIL: &str = "Rosalind@Example.org";

pub struct Rosalind {
    pub client: ClientInfo,
    pub sign_in: SignIn,
}

impl Rosalind {
    pub async fn caller(&self, app: &App) -> Result<Caller> {
        authenticate(app, self.sign_in.secret.reveal(), CachePolicy::Allowed).await
    }
}

/// An app in a directory of its own, with a clock that the test moves.
pub async fn test_app(adjust: impl FnOnce(&mut Config)) -> (Arc<App>, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config {
        data_dir: folder.path().to_owned(),
        database_url: format!("sqlite:{}", folder.path().join("test.db").display()).into(),
        store: StoreConfig::Disk { root: folder.path().join("files") },
        ..Config::default()
    };
    adjust(&mut config);
    (App::open(config, Clock::movable()).await.expect("an app"), folder)
}

pub async fn register_rosalind(app: &App) -> Rosalind {
    let client = ClientInfo { address: [192, 0, 2, 7].into(), user_agent: "test".into(), session: None };
    let account = NewAccount {
        email: EMAIL.into(),
        name: "Rosalind".into(),
        password: PASSWORD.into(),
        must_change_password: false,
    };
    let sign_in = register(app, &client, account).await.expect("registered");
    Rosalind { client, sign_in }
}

pub fn credentials(password: &'static str) -> Credentials {
    Credentials { email: EMAIL.to_lowercase(), password: password.into() }
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_except_the_one_that_set_it() {
    let (app, _folder) = test_app(|_| {}).await;
    let rosalind = register_rosalind(&app).await;
    let other = log_in(&app, &rosalind.client, credentials(PASSWORD)).await.expect("signed in");
    let caller = rosalind.caller(&app).await.expect("active");
    let change = |current: &str| UpdateMe {
        name: None,
        password: Some(PasswordChange { current: current.into(), new: SecretString::from("purple harvest engine") }),
    };

    assert!(matches!(update_me(&app, &caller, change("a wrong guess")).await, Err(Error::Invalid(_))));
    authenticate(&app, other.secret.reveal(), CachePolicy::Allowed).await.expect("nothing has changed");
    update_me(&app, &caller, change(PASSWORD)).await.expect("changed");

    rosalind.caller(&app).await.expect("still active");
    assert!(matches!(authenticate(&app, other.secret.reveal(), CachePolicy::Allowed).await, Err(Error::Unauthorized)));
    assert!(matches!(log_in(&app, &rosalind.client, credentials(PASSWORD)).await, Err(Error::BadCredentials)));
}

#[tokio::test]
async fn no_session_begins_with_a_password_that_was_changed_meanwhile() {
    let (app, _folder) = test_app(|_| {}).await;
    let rosalind = register_rosalind(&app).await;
    let user = rosalind.sign_in.user.clone();
    let proven = app.db.find_user(user.id).await.expect("read").expect("there").password_hash;
    set_password(&app, EMAIL, &"purple harvest engine".into(), false).await.expect("set");
    let late = session::begin(&app, user, &rosalind.client, &proven, &proven).await;
    assert!(matches!(late, Err(Error::BadCredentials)));
    assert!(matches!(rosalind.caller(&app).await, Err(Error::Unauthorized)));
}

#[tokio::test]
async fn a_disabled_account_can_do_nothing_until_it_is_enabled() {
    let (app, _folder) = test_app(|_| {}).await;
    let rosalind = register_rosalind(&app).await;
    let caller = rosalind.caller(&app).await.expect("active");
    let new = NewToken { name: "backup".into(), expires_in: None };
    let (_, token) = create_token(&app, &caller, new).await.expect("created");

    set_disabled(&app, EMAIL, true).await.expect("disabled");
    assert!(matches!(rosalind.caller(&app).await, Err(Error::Unauthorized)));
    assert!(matches!(authenticate(&app, token.reveal(), CachePolicy::Allowed).await, Err(Error::Unauthorized)));
    assert!(matches!(log_in(&app, &rosalind.client, credentials(PASSWORD)).await, Err(Error::BadCredentials)));

    set_disabled(&app, EMAIL, false).await.expect("enabled");
    assert!(matches!(rosalind.caller(&app).await, Err(Error::Unauthorized)), "its sessions ended");
    authenticate(&app, token.reveal(), CachePolicy::Allowed).await.expect("its tokens did not");
}

#[tokio::test]
async fn sessions_and_tokens_expire_and_are_purged() {
    let (app, _folder) = test_app(|_| {}).await;
    let rosalind = register_rosalind(&app).await;
    let caller = rosalind.caller(&app).await.expect("active");
    let new = |expires_in| NewToken { name: "backup".into(), expires_in };
    let (_, brief) = create_token(&app, &caller, new(Some(Duration::from_secs(60)))).await.expect("created");
    let (_, lasting) = create_token(&app, &caller, new(None)).await.expect("created");

    app.clock.advance(app.config.auth.session_lifetime);
    let now = app.clock.now();
    assert_eq!(app.db.purge_sessions(now).await.expect("purged"), 1);
    assert_eq!(app.db.purge_tokens(now).await.expect("purged"), 1);
    for expired in [rosalind.sign_in.secret, brief] {
        assert!(matches!(authenticate(&app, expired.reveal(), CachePolicy::Allowed).await, Err(Error::Unauthorized)));
    }
    let caller = authenticate(&app, lasting.reveal(), CachePolicy::Allowed).await.expect("active");
    assert_eq!(tokens(&app, &caller).await.expect("listed").len(), 1);
    assert!(sessions(&app, &caller).await.expect("listed").is_empty());
}

#[tokio::test]
async fn tokens_created_concurrently_cannot_exceed_the_limit_together() {
    let (app, _folder) = test_app(|config| config.limits.tokens = 2).await;
    let caller = register_rosalind(&app).await.caller(&app).await.expect("active");
    let new = || NewToken { name: "backup".into(), expires_in: None };
    let created = futures_util::future::join_all((0..5).map(|_| create_token(&app, &caller, new()))).await;
    assert_eq!(created.iter().filter(|created| created.is_ok()).count(), 2);
}
