CREATE TABLE posts (id bigserial PRIMARY KEY, author text NOT NULL, text text NOT NULL);

-- What the hub has not got yet. The application writes here in the transaction of the change itself.
CREATE TABLE outbox (id bigserial PRIMARY KEY, channel text NOT NULL, event text NOT NULL, data jsonb NOT NULL);

CREATE FUNCTION post_to_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (channel, event, data) VALUES ('feed', 'post', to_jsonb(NEW));
    NOTIFY outbox;
    RETURN NEW;
END $$;

CREATE TRIGGER posted AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION post_to_outbox();
