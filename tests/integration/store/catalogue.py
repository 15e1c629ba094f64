"""What a schema is made of, as Postgres's catalogue has it: one line for each thing, so that two can be compared."""

from __future__ import annotations

import psycopg

# Numbers and object ids differ from one database to another, so everything is named.
_LINES = """
SELECT format('relation %s %s rls=%s force=%s %s', c.relkind, c.oid::regclass, c.relrowsecurity, c.relforcerowsecurity,
              c.reloptions) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT format('column %s.%s %s %s not null=%s identity=%s generated=%s default=%s', a.attrelid::regclass, a.attname,
              row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
              a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'v')
     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
-- Postgres writes an expression that was read from its own text with other brackets.
SELECT format('constraint %s.%s %s validated=%s', conrelid::regclass, conname,
              translate(pg_get_constraintdef(oid), '()', ''), convalidated)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL
SELECT format('index %s', pg_get_indexdef(indexrelid)) FROM pg_index
WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
UNION ALL
SELECT format('view %s %s', oid::regclass, pg_get_viewdef(oid)) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
UNION ALL
SELECT format('function %s owned by %s: %s', oid::regprocedure, proowner::regrole, pg_get_functiondef(oid))
FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT format('trigger %s', pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT format('policy %s.%s %s to %s using %s check %s', polrelid::regclass, polname, polcmd,
              ARRAY(SELECT rolname FROM pg_roles WHERE oid = ANY(polroles) ORDER BY 1),
              pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) FROM pg_policy
UNION ALL
SELECT format('grant %s on %s to %s%s', g.privilege_type, o.name, coalesce(r.rolname, 'public'),
              CASE WHEN g.is_grantable THEN ' with grant option' END)
FROM (SELECT oid::regclass::text AS name, coalesce(relacl, acldefault('r', relowner)) AS acl FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
      UNION ALL
      SELECT oid::regclass::text, coalesce(relacl, acldefault('s', relowner)) FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
      UNION ALL
      SELECT format('%s.%s', attrelid::regclass, attname), attacl FROM pg_attribute
      WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) AND attacl IS NOT NULL
      UNION ALL
      SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace OR proname ~ '^pg_(try_)?advisory_|^lo_'
      UNION ALL
      SELECT 'schema public', nspacl FROM pg_namespace WHERE nspname = 'public'
      UNION ALL
      SELECT 'database', coalesce(datacl, acldefault('d', datdba)) FROM pg_database WHERE datname = current_database()
     ) o CROSS JOIN LATERAL aclexplode(o.acl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
"""


def catalogue(admin_url: str) -> list[str]:
    """Every relation, column, constraint, index, view, function, trigger, policy and grant, in order."""
    with psycopg.connect(admin_url.replace("+psycopg", "", 1)) as connection:
        return sorted(line for (line,) in connection.execute(_LINES).fetchall())
