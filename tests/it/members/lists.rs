//! Who is in an organisation or a project.

use harness::on_both;
use serde_json::{Value, json};

/// A member of each entry of a list.
fn each<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    let entries = list["data"].as_array().into_iter().flatten();
    entries.filter_map(|entry| entry[name].as_str()).collect()
}

on_both! {
    async fn the_list_shows_the_place_and_not_what_lies_in_it(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (dana, guest) = (acme.developer("dana").await, t.person("guest").await);
        acme.grant(guest.id, Some(web.id), "viewer").await;
        let members = dana.get("/v1/orgs/acme/members").await.expect(200).json();
        assert_eq!(each(&members, "email"), ["acme-owner@example.com", "dana@example.com"], "oldest first");
        assert_eq!(each(&members, "role"), ["owner", "developer"]);
        let members = guest.get(&format!("{}/members", web.path)).await.expect(200).json();
        assert_eq!((each(&members, "email"), each(&members, "role")), (vec!["guest@example.com"], vec!["viewer"]));
        guest.get("/v1/orgs/acme/members").await.problem(403, "forbidden");
        t.person("eve").await.get("/v1/orgs/acme/members").await.problem(404, "not_found");
    }

    async fn the_list_is_searched_by_address_and_name_to_the_letter(t: TestApp) {
        let acme = t.org("acme").await;
        for name in ["dana", "daniel", "erin"] {
            acme.developer(name).await;
        }
        t.sql("UPDATE users SET first_name = 'Ann_e', last_name = 'O%Hara' WHERE first_name = 'erin'").await;
        for (search, found) in [
            ("DAN", vec!["dana@example.com", "daniel@example.com"]),
            ("daniel@", vec!["daniel@example.com"]),
            ("ann_e%20o%25h", vec!["erin@example.com"]),
            ("a_e", vec![]),
            ("%25", vec!["erin@example.com"]),
            ("!", vec![]),
        ] {
            let list = acme.owner.get(&format!("/v1/orgs/acme/members?search={search}")).await.expect(200);
            assert_eq!(each(&list.json(), "email"), found, "{search}");
            assert_eq!(list.at("/pagination/total"), found.len().to_string(), "{search}");
        }
        assert_eq!(acme.owner.get("/v1/orgs/acme/members?search=").await.at("/pagination/total"), "4");
        let page = acme.owner.get("/v1/orgs/acme/members?search=dan&limit=1&offset=1").await.expect(200);
        assert_eq!((page.at("/data/0/email"), page.at("/pagination/total")), ("daniel@example.com".into(), "2".into()));
    }

    async fn invitations_that_are_out_are_listed_behind_the_people(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let now = t.clock.now().micros();
        let invite = async |number: i64, address: &str, scope: &str, more: &str, role: domain::kernel::id::RoleId| {
            let db = t.db();
            let tx = db.begin_write().await.expect("open a transaction");
            let sql = format!(
                "INSERT INTO invites (id, org_id, project_id, scope_id, address, canonical, role_id, env_classes, token_mac,
                    max_uses, uses, invited_by, created_at, updated_at, expires_at, revoked_at)
                 SELECT $1, o.id, {scope}, coalesce({scope}, o.id), '{address}', '{address}', $2, NULL, $3, 1, {more}
                 FROM orgs o WHERE o.slug = 'acme'"
            );
            let id = uuid::Uuid::from_u128(u128::try_from(number).expect("a number"));
            let values = [id.into(), role.into(), number.to_be_bytes().to_vec().into()];
            let statement = domain::kernel::Reads::sql(&tx, &sql, values);
            sea_orm::ConnectionTrait::execute_raw(&*tx, statement).await.expect("insert");
            tx.commit_bookkeeping().await.expect("commit");
        };
        let later = now + 3_600_000_000;
        let rest = |uses: i64, end: i64, revoked: &str| format!("{uses}, o.id, {now}, {now}, {end}, {revoked}");
        let (viewer, of_project) = (domain::access::BuiltinRole::ORG_VIEWER.id, domain::access::BuiltinRole::PROJECT_VIEWER.id);
        let nowhere = "CAST(NULL AS uuid)";
        invite(1, "new@example.com", nowhere, &rest(0, later, "NULL"), viewer).await;
        invite(2, "used@example.com", nowhere, &rest(1, later, "NULL"), viewer).await;
        invite(3, "late@example.com", nowhere, &rest(0, now - 1, "NULL"), viewer).await;
        invite(4, "revoked@example.com", nowhere, &rest(0, later, "1"), viewer).await;
        let in_web = "(SELECT p.id FROM projects p WHERE p.slug = 'web')";
        invite(5, "web@example.com", in_web, &rest(0, later, "NULL"), of_project).await;
        let list = acme.owner.get("/v1/orgs/acme/members").await.expect(200).json();
        assert_eq!(each(&list, "email"), ["acme-owner@example.com", "new@example.com"]);
        assert_eq!((each(&list, "status"), each(&list, "type")), (vec!["active", "pending"], vec!["user", "invite"]));
        let entry = &list["data"][1];
        assert_eq!((&entry["role"], &entry["roles"][0]["name"]), (&json!("viewer"), &json!("viewer")));
        assert!(entry["id"].as_str().is_some_and(|id| id.starts_with("inv_")), "{entry}");
        let list = acme.owner.get(&format!("{}/members", web.path)).await.expect(200).json();
        assert_eq!(each(&list, "email"), ["web@example.com"]);
    }
}
