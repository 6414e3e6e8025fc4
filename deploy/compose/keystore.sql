-- Beside the key store lies the log's anchor, under a role that reaches nothing else.
\getenv password ANCHOR_PASSWORD
CREATE ROLE doorstep_anchor LOGIN PASSWORD :'password';
CREATE DATABASE anchor OWNER doorstep_anchor TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
REVOKE CONNECT ON DATABASE keys FROM PUBLIC;
