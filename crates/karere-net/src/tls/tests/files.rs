use super::*;

fn server_error(options: &ServerOptions) -> String {
    Server::load(options).unwrap_err().to_string()
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let authority = Authority::new("a");
    let error = server_error(&authority.server("nobody"));
    assert!(error.starts_with("cannot read ") && error.contains("nobody.pem"), "{error}");
}

#[test]
fn a_file_with_something_else_in_it_is_named() {
    let authority = Authority::new("a");
    authority.sign("server", &["localhost"]);
    let certificate = authority.path("server.pem");
    let error = server_error(&ServerOptions::new(&certificate, &certificate));
    assert!(error.contains("no private key in") && error.contains("server.pem"), "{error}");
    let key = authority.path("server.key");
    let error = server_error(&ServerOptions::new(&key, &key));
    assert!(error.contains("no certificate in") && error.contains("server.key"), "{error}");
}

#[test]
fn an_encrypted_key_is_refused_with_the_remedy() {
    let authority = Authority::new("a");
    authority.sign("server", &["localhost"]);
    let text = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let key = authority.write("locked.key", text);
    let error = server_error(&ServerOptions::new(authority.path("server.pem"), key));
    assert!(error.contains("is encrypted") && error.contains("openssl pkey"), "{error}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = Authority::new("a");
    authority.sign("one", &["localhost"]);
    authority.sign("two", &["localhost"]);
    server_error(&ServerOptions::new(authority.path("one.pem"), authority.path("two.key")));
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let authority = Authority::new("a");
    authority.sign("client", &[]);
    let half = ClientOptions { certificate: Some(authority.path("client.pem")), ..authority.client() };
    assert!(matches!(half.load(), Err(Error::Half("the key"))));
    let half = ClientOptions { key: Some(authority.path("client.key")), ..authority.client() };
    assert!(matches!(half.load(), Err(Error::Half("the certificate"))));
    let server = ServerOptions { clients: ClientCertificates::Required, ..authority.server("client") };
    assert!(matches!(Server::load(&server), Err(Error::Half(_))));
}

#[test]
fn a_folder_of_authorities_has_hashed_names() {
    let authority = Authority::new("a");
    authority.sign("server", &["localhost"]);
    let folder = authority.path("authorities");
    std::fs::create_dir(&folder).unwrap();
    let client = ClientOptions { ca_folder: Some(folder.clone()), ..ClientOptions::new() };
    let error = client.load().unwrap_err().to_string();
    assert!(error.contains("authorities"), "{error}");
    std::fs::copy(authority.path("ca.pem"), folder.join("0a1b2c3d.0")).unwrap();
    assert_eq!(Pair::new(&client, &authority.server("server")).run(), (Ok(()), Ok(())));
}

#[test]
fn a_name_that_no_certificate_has_is_the_callers_mistake() {
    let client = Authority::new("a").client().load().unwrap();
    assert!(matches!(client.filter("not a name"), Err(Error::ServerName(_))));
    client.filter("127.0.0.1").unwrap();
    client.filter("::1").unwrap();
    client.filter("rooted.example.").unwrap();
}
