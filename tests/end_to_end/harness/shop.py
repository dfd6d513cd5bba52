"""The shop: the tables of one client's database, and the domains that name them."""

from .postgres import OWNER

# domain → table and event name, as in a pipeline file.
SHOP_DOMAINS = {
    "users": {"table": "public.users", "event": "user"},
    "products": {"table": "public.products", "event": "product"},
    "orders": {"table": "public.orders", "event": "order"},
    "order_items": {"table": "public.order_items", "event": "order_item"},
    "wide": {"table": "public.wide", "event": "measurement"},
    "visits": {"table": "public.visits", "event": "visit"},
}

WIDE_COLUMNS = 60

SHOP_SQL = f"""
CREATE TABLE users (
  id bigint PRIMARY KEY,
  email text NOT NULL,
  name varchar(80),
  country char(2),
  balance numeric(12,2) NOT NULL DEFAULT 0,
  preferences jsonb,
  biography text,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE products (
  sku text PRIMARY KEY,
  title text NOT NULL,
  price_cents integer NOT NULL,
  weight numeric,
  tags text[],
  discontinued boolean NOT NULL DEFAULT false);
CREATE TABLE orders (
  id bigint PRIMARY KEY,
  user_id bigint NOT NULL,
  status text NOT NULL,
  total_cents bigint NOT NULL,
  note text,
  placed_at timestamp NOT NULL DEFAULT now());
CREATE TABLE order_items (
  order_id bigint,
  line smallint,
  sku text NOT NULL,
  quantity integer NOT NULL,
  price_cents integer NOT NULL,
  PRIMARY KEY (order_id, line));
CREATE TABLE wide (
  id integer PRIMARY KEY,
  {", ".join(f"c{i:02} {('bigint', 'double precision', 'text', 'timestamptz')[i % 4]}" for i in range(WIDE_COLUMNS))});
CREATE TABLE visits (
  id uuid PRIMARY KEY,
  page text,
  seconds real,
  visited_on date);
-- Texts of some kilobytes shall leave their row also where they compress well: unchanged ones are not sent again.
ALTER TABLE users ALTER biography SET STORAGE EXTERNAL;
ALTER TABLE orders ALTER note SET STORAGE EXTERNAL;
"""


def create_shop(server, name, template=None):
    """A database with the shop's tables, empty, owned by OWNER. `template`: another shop's name, copied instead."""
    database = server.create_database(name, template)
    if template is None:
        own(database, SHOP_SQL)
    return database


def own(database, sql):
    """Runs statements as the owner of the client's tables, so that what they create is the owner's."""
    database.execute(f"SET ROLE {OWNER};\n{sql};\nRESET ROLE")
