//! Words for names made of words: common ones, typed out for this, by what they are.
//!
//! They are no family's list. What a model is to learn is how words look that are set side by side, and that
//! holds for lists it never saw; so there are many, of several fields, each once in its class.

use std::sync::LazyLock;

/// A class of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Things, people, places.
    Nouns,
    /// What they do.
    Verbs,
    /// What they are like.
    Adjectives,
    /// What holds a running text together.
    Plain,
    /// Of law and government, as in old public documents.
    Formal,
    /// Of standards and manuals, with their short forms.
    Technical,
    /// Of old Latin texts.
    Latin,
    /// Given names.
    Given,
    /// Countries, states, cities.
    Places,
    /// What makes a longer word of a word or of none.
    Endings,
}

impl Class {
    /// All of them, in the order above.
    pub(super) const ALL: [Self; 10] = [
        Self::Nouns,
        Self::Verbs,
        Self::Adjectives,
        Self::Plain,
        Self::Formal,
        Self::Technical,
        Self::Latin,
        Self::Given,
        Self::Places,
        Self::Endings,
    ];

    /// The words of this class.
    pub(super) fn words(self) -> &'static [&'static str] {
        &LISTS[self as usize]
    }
}

static LISTS: LazyLock<[Vec<&'static str>; 10]> = LazyLock::new(|| {
    let texts = [NOUNS, VERBS, ADJECTIVES, PLAIN, FORMAL, TECHNICAL, LATIN, GIVEN, PLACES, ENDINGS];
    texts.map(|text| text.split_whitespace().collect())
});

const NOUNS: &str = "\
    ability absence accident account acid acorn action actor address advance adventure advice adviser \
    affair afternoon agency agent agreement air airport alarm album algebra alley almond ambassador \
    amount analyst anatomy anchor angel anger angle animal ankle answer ant antelope apartment appendix \
    apple apricot april apron arch archaeology archive area arena argument arm armor army arrival arrow \
    art article artist asparagus aspect asphalt asset assistant astronaut astronomy athlete attempt \
    attention attitude attorney audience aunt author autumn avenue avocado award axle baby back bacon \
    badge badger bag baker balance ball balloon banana band bank banker bar barber barn barrel base \
    basement basil basin basis basket bat bath battery battle bay beach beacon bead beak beam bean bear \
    beard beast beat beauty beaver bed bedroom bee beef beer bell belt bench bend benefit berry bet bike \
    bill binder biology bird birth birthday biscuit bishop bison bit blackberry blacksmith blade blanket \
    blizzard block blood blouse blueberry board boat body bolt bomb bone bonus book boot boots border \
    boss botany bottle bottom boulder bowl box boy bracelet brain brake branch brass bread breakfast \
    breath breeze brick bride bridge broccoli brother brush bubble bucket buddy budget buffalo bug \
    builder building bulb bull bulldozer bunch bus bush business butcher butter butterfly button buyer \
    cabbage cabin cabinet cable cake calculator calculus calendar calf camel camera camp canal canary \
    cancer candle candlestick candy canvas canyon cap captain car carbon card career carpenter carpet \
    carriage carrot cart case cash cashew cashier castle cat caterpillar cattle cauliflower cause cave \
    cavern ceiling celery cell cellar center century cereal chain chair chalk chamber champion chance \
    change channel chapter character charge charity chart cheek cheese cheetah chef chemistry cherry \
    chest chestnut chicken chief child children chimney chin chip chipmunk chisel chocolate choice \
    church cinnamon circle citizen city clam class classroom clay clerk client cliff climate cloak clock \
    closet cloth clothes cloud clover club clue coach coal coast coat cobra cockroach coconut code \
    coffee coin collar college color column comb comet comfort command comment community company compass \
    competition composer concert conclusion condition conflict connection contact contest context \
    continent contract contrast control cook cookie copper copy coral cord corn corner cost cottage \
    cotton couch council counter country county couple courage course court cousin cow cowboy crab crack \
    craft cranberry crane crate crater crayon cream creature credit creek crew cricket crime crisis \
    critic crocodile crow crowbar crowd crown cub cucumber culture cup curtain curve customer cycle dad \
    damage dance dancer danger data date daughter dawn day dealer death debate debt decade december \
    decision deer defense degree delivery delta demand dentist department departure deposit depth desert \
    design designer desk detail detective device devil diamond diary diet difference dinner dinosaur \
    diplomat direction director dirt discipline discount discussion disease dish disk display distance \
    district divide doctor dog doll dollar dolphin donkey door doubt dove dragon dragonfly drain drama \
    drawer drawing dream dress dresses drill drink driver drop drum duck dune dusk dust duty dynamo \
    eagle ear earring earth earthquake ease east eclipse ecology economics economist edge editor \
    education eel effect effort egg eggplant eight eighteen elbow electrician elevator eleven elk \
    emotion emphasis employee employer end energy engine engineer english entrance entry envelope \
    environment envy episode equipment error escape essay estate evening event evidence exam example \
    exchange excitement excuse exercise exit expert explorer expression eye eyebrow face fact factor \
    factory failure fairy faith falcon fall fame family fan farm farmer fashion fat father faucet fault \
    fear feast feather feature february fee feedback feeling fellow fence ferret festival fiction field \
    fifteen fifty fig fight figure file film finance finding finger fire firefighter firefly fish \
    fisherman fishing five fjord flag flame flamingo flavor flesh flight flock floor flower flute fly \
    focus fog fold food foot football force forest fork form fortune forty foundation fountain four \
    fourteen fox frame freedom french friday friend frog front frost fruit fuel fun function funeral \
    furnace furniture future gain galaxy game gap garage garden gardener garlic gas gate gauge gazelle \
    gear gene generator geography geology geometry german ghost giant gift ginger giraffe girl glacier \
    glass globe glossary glove glue goal goat gold golf goose gorge gorilla governor gown grade grain \
    grammar grandfather grandmother grandson grape grapefruit grass grasshopper gravity greek grocery \
    ground group growth guard guess guest guidance guide guitar gun guy habit hail hair half hall hammer \
    hamster hand handle harbor hardware harmony hat hate hawk hay hazelnut head health heart heat heaven \
    hedgehog height helicopter hell helmet help hen hero heron highway hill hinge hippo history hobby \
    hole holiday home honey honor hood hook hope horn hornet horse hose hospital host hotel hour house \
    housing hundred hunger hunter hurricane husband hydrant hyena ice iceberg idea iguana image impact \
    importance impression improvement inch incident income increase index industry infant inflation \
    initiative ink insect inside inspection inspector instance insurance intention interest interview \
    inventor iron island issue italian item ivory jackal jacket jaguar jail jam january jar jaw jeans \
    jelly jellyfish jewel jeweler job joint joke journal journalist journey joy judge juice july jump \
    june jungle jury kangaroo kettle key keyboard kick kid king kingdom kiss kitchen kite kitten knee \
    knife knight knot knowledge koala lab label labor lace ladder lady ladybug lagoon lake lamb lamp \
    land landlord landscape language lantern lark lathe laugh laughter laundry lava law lawyer layer \
    lead leader leaf league leather lecture leek leg lemon length lens lentil leopard lesson letter \
    lettuce level lever library lie life lifeguard lift light lightning lime limit line linen \
    linguistics lion lip liquid list literature lizard llama loan lobster lock log logic look lord loss \
    lotion love luck lumber lunch lung lychee lynx machine madam magazine magic magnet magpie maid mail \
    maintenance mall man manager mango manner map marble march mark market marriage marsh mask mass \
    master match mate material math mathematics matter maximum mayor meadow meal meaning measurement \
    meat mechanic mechanics media medicine medium meeting melody melon member memory menu merchant \
    message metal meteor method mice microscope middle midnight milk million mind mine minister minor \
    mint minute mirror mission mist mistake mister mitten mixture mode model mole mom moment monday \
    money mongoose monkey month mood moon moose mop morning mortgage mosquito moth mother motion motor \
    mountain mouse mouth move movie mud mule muscle museum mushroom music musician mustard nail name \
    nation nature neck necklace need needle negative neighbor nephew nerve nest net network news newt \
    niece night nightingale nine nineteen ninety noise noon north nose note nothing notice novel \
    november nozzle number nurse nut nutmeg oak oasis oatmeal object ocean october octopus offer office \
    officer oil olive onion opening operation opinion opportunity optician orange orbit orca orchestra \
    order oregano organ ostrich otter outcome outside oven owl owner oxygen oyster pace pack package \
    page pail pain paint paintbrush painter painting pair pajamas palace pan pancake panda panic panther \
    pants papaya paper parcel parent parents park parrot parsley part partner partridge party pass \
    passage passenger passion past path patience patient pattern pause payment peace peach peacock peak \
    peanut pear pecan pelican pen penalty pencil penguin peninsula people pepper percentage perception \
    performance period permission person perspective pest pharmacist phase pheasant philosopher \
    philosophy phone phonetics photo photographer phrase physician physics pianist piano picture pie \
    piece pig pigeon pillow pilot pin pineapple pipe pistachio piston pizza place plan plane planet \
    plant plastic plate plateau platform play player playground pleasure pliers plot plow plum plumber \
    pocket poem poet poetry point poison pole police policy politician politics pollution pomegranate \
    pond pony pool popcorn population porch porcupine porter position post pot potato pound powder power \
    practice prairie preface preference preparation presence president price pride priest prince \
    princess print priority prize problem process produce profession professor profile profit program \
    progress project promotion proof property prophet proposal protection psychology publisher puddle \
    pull pulley pump pumpkin punch pupil purple purpose purse push puzzle quality quantity quarter queen \
    question quilt quince rabbit raccoon race radar radio radish rail railway rain rainbow raisin range \
    ranger raspberry rat ratchet rate ratio raven ray razor reaction reality reason receipt recipe \
    record recording recover reef reflection refrigerator region reindeer relation relationship relief \
    religion rent repair replacement report reporter republic reputation request research reserve \
    resident resolution resort resource response restaurant result revenue review revolution reward \
    rhetoric rhinoceros rhythm rice ridge rifle ring rise risk river rivet road robin robot rock rod \
    role roll roof room root rope rose rosemary route rub rule ruler sack saffron sail sailor salad \
    salmon salt samurai sand sandals sandpaper sandwich satisfaction saturday sauce sausage savanna \
    scale scalpel scarecrow scarf scene scent schedule scheme scholar school science scientist scissors \
    score scorpion screen screw sculptor sea seagull seashore season seat second secret secretary sector \
    seed self seller senate senator sense september series servant sesame session setting seven \
    seventeen seventy shade shadow shame shape share shark sheep sheet shelf shell shelter shepherd \
    sheriff shift ship shirt shock shoe shop shore shorts shoulder shovel show shower sick side sidewalk \
    sieve sign signal signature significance silk silver singer sink sir sister site situation six \
    sixteen sixty size skill skin skirt sky sleep sleet sleeve slice slip slipper slope smell smile \
    smoke snail snake sneeze snow soap society sociology sock soda sofa soft soil solder soldier \
    solution son song sorrow sort soul sound soup south space spade spanish spark sparrow speaker \
    specialist species speech speed spell spider spinach spirit sponge spoon sport spot spouse spray \
    spring spy square squash squirrel stable staff stage stair stamp standard stapler star starling \
    start state statement station statistics statue status steak steam steel stem step stepmother \
    stethoscope stew stick stitch stock stocking stomach stone storage store stork storm story stove \
    strait stranger strategy straw strawberry stream street strength stress stretch string structure \
    student studio study stuff style subject success sugar suggestion suit suitcase summer summit sun \
    sunday sunrise sunset supermarket supper support surface surgeon surgery surprise survey swallow \
    swamp swan sweater swim swing switch sword symbol sympathy system table tail tailor tale talent tank \
    tap tape target task taste tax taxi tea teacher team tear technology teeth telescope television \
    teller temper temperature temple ten tenant tennis tent term termite territory test texture thanks \
    theater theme theory thermometer thing thirst thirteen thirty thought thousand thread thrill throat \
    throne thumb thunder thunderstorm thursday thyme ticket tide tie tiger till timber time tin tip tire \
    title toad toast toe tomato tone tongue tool toolbox tooth top topic tornado touch tour towel tower \
    town toy track tractor trade trader tradition traffic trail trailer train training transition \
    translator transport trash tray treat tree trend trial triangle tribe trick trip tripod trouble \
    trousers trout truck trust trustee truth tub tuesday tundra tune turbine turkey turn turnip turtle \
    tutor tweezers twelve twenty twig twilight twin twist type typhoon umbrella uncle understanding \
    underwear uniform union unit university vacation valley value valve van vanilla vase vegetable \
    vehicle veil vein version vessel vest veteran victory video view village vinegar violin virus vise \
    vision visit visitor voice volcano volleyball volume voyage vulture wagon waist waiter waitress walk \
    wall walnut walrus war warning warrior wash wasp waste watch water waterfall watermelon wave wax way \
    wealth weasel weather web wedding wednesday week weekend weight welcome west whale wheat wheel \
    wheelbarrow whistle widow wife wilderness wind windmill window wine wing winner winter wire wisdom \
    wish witch wives wolf woman wood woodpecker wool word work worker workshop world worm worry wound \
    wren wrench wrist writer writing yak yam yard yarn year yellow youth zebra zephyr zinc zipper zoo \
    zucchini";

const VERBS: &str = "\
    abandon absorb accept accuse achieve acquire act adapt add adjust admire admit adopt advise afford \
    agree aim allow alter amuse announce annoy apologize appear apply appoint appreciate approach \
    approve argue arise arrange arrest arrive ask assemble assert assign assist assume assure attach \
    attack attend attract avoid bake ban bathe be become beg begin behave believe belong bite blame \
    bleach bless blind blink blow blush boast boil borrow bother bounce bow break breathe breed bring \
    broadcast bruise build bump burn burst bury buy buzz calculate call camp care carry carve cast catch \
    celebrate challenge chase cheat check cheer chew choke choose chop claim clap clean clear climb \
    cling close coil collapse collect combine come communicate compare compete complain complete compose \
    compute conceive concentrate concern conduct confess confirm confuse connect consider consist \
    construct consult consume contain continue contribute convert convince coordinate correct cough \
    count cover crash crawl create creep cross crush cry cure curl cut dare deal decay deceive decide \
    declare decorate delay delight deliver depend describe deserve destroy detect determine develop die \
    dig dip disagree disappear disapprove discover dislike distribute dive double drag draw drift drive \
    drown dry earn eat edit educate eliminate embarrass employ empty enable encourage enforce engage \
    enhance enjoy enter entertain establish estimate evaluate examine exceed excite exclude execute \
    exhibit exist expand expect expel explain explode explore express extend fade fail fasten fax feed \
    feel fetch fill find finish fire fit fix flap flash flee fling float flood flow flush follow fool \
    forbid forecast forget forgive formulate freeze frighten fry gather gaze generate get give glow go \
    govern grab grant grate grease greet grin grind grip groan grow guarantee hammer hang happen harass \
    harm haunt have heal heap hear hide hit hold hop hover hug hum hunt hurry hurt identify ignore \
    illustrate imagine imply impress improve improvise include influence inform inherit initiate inject \
    injure innovate inspect inspire install instruct insure integrate intend interfere interpret \
    interrupt introduce invent invest investigate invite involve irritate itch jog join joke judge \
    juggle jump justify keep kick kill kiss kneel knit knock know lack laugh launch lay lean leap learn \
    leave lend let level license lick lie lighten like listen live load locate lock long look lose love \
    maintain make manage manipulate manufacture march marry match matter mean measure meddle mediate \
    meet melt memorize mend mention migrate milk mislead miss misspell mix moan modify monitor moor \
    motivate mourn move mow mug multiply murder negotiate nest nod nominate normalize notice number obey \
    observe obtain occur offend offer open operate order organize originate overcome overflow overhear \
    overtake owe own paddle park participate paste pat pay pedal peel peep perceive perfect perform \
    permit persuade phone pick pinch pine place plan plant play plead please plug point poke polish pop \
    possess post pour practise pray preach precede predict prefer prepare prescribe present preserve \
    press pretend prevent prick print proceed process program project promise promote propose protect \
    prove provide pull punch punish purchase push put qualify quit race radiate rain raise reach read \
    realize receive recognize recommend reconcile record recruit reduce refer reflect refuse regret \
    reign reject rejoice relate relax release rely remain remember remind remove render reorganize \
    repair repeat replace reply represent reproduce request rescue research resolve respond restore \
    restrict retire retrieve return reveal revise rhyme rid ride ring rinse rise risk rob rock rot rub \
    ruin rule run rush save saw say scare scatter schedule scold scorch scrape scratch scream screw \
    scribble scrub seal search secure see seek select sell send separate serve service set settle sew \
    shake share shave shear shed shine shiver shoot shop show shrink shrug shut sigh sing sip sit sketch \
    ski skip slap sleep slide sling slow smash smell smile smoke snatch sneak sniff snore soak solve \
    soothe sow sparkle speak specify spell spend spill spin spit split spoil spot spray spread squash \
    squeak squeal squeeze stain stamp stand stare start stay steal steer step stick stimulate sting \
    stink stir stop store strap strengthen stretch stride strike strip strive stroke struggle stuff \
    submit succeed suck suffer suggest summarize supervise supply support suppose surround suspect \
    suspend swallow swear sweat sweep swell swim swing symbolize synthesize take talk tame tap teach \
    tear tease telephone tell tempt terrify thank thaw think thrive throw thrust tick tickle tie time \
    tip touch tow trace trade train transcribe transfer transform translate transport trap travel tread \
    treat tremble trick trip trot trouble trust try tug tumble turn tutor twist understand undertake \
    undo undress unfasten unify unite unlock unpack untidy update upgrade uphold upset use utilize \
    vanish verify visit wail wait wake walk wander want warm warn wash waste watch water wave wear weave \
    weep weigh welcome wet whine whirl whisper whistle win wind wink wipe wish withdraw withhold \
    withstand wobble wonder work worry wrap wreck wrestle wriggle wring write yawn yell zip zoom";

const ADJECTIVES: &str = "\
    able absent absolute abstract abundant academic acceptable accurate active actual acute adequate \
    afraid aggressive alert alive alone amazing ambitious ample ancient angry annual anxious apparent \
    aquatic arctic asleep atomic attractive automatic available average aware awful awkward bad bare \
    basic beautiful better big bitter black bland blank blind blue bold boring brave brief bright broad \
    broken brown busy calm capable careful careless casual cautious central certain cheap cheerful \
    chemical chilly chronic civil classic clean clear clever close cloudy clumsy coarse cold colorful \
    common complete complex concrete confident conscious constant content cool correct costly crazy \
    creative critical cruel curious current curved cute daily damp dangerous dark dead deaf dear decent \
    deep defiant delicate delicious dense different difficult digital dim direct dirty distant dizzy \
    double doubtful dramatic dry dual due dull dusty eager early eastern easy economic elderly electric \
    elegant emotional empty endless enormous entire equal essential eternal exact excellent excited \
    exotic expensive extra extreme fair faithful false familiar famous fancy fast fatal favorite fierce \
    final financial fine firm fit flat flexible foolish foreign formal former fortunate forward fragile \
    frequent fresh friendly frozen full funny furious further general generous gentle genuine gifted \
    glad global golden good gorgeous graceful grand grateful gray great greedy green grim handsome handy \
    happy hard harsh healthy heavy helpful hidden high hollow holy honest horrible hot huge human humble \
    hungry ideal identical ill illegal immediate important impossible independent industrial informal \
    initial inner innocent instant intelligent intense internal jealous jolly junior just keen kind \
    large last late lazy leading left legal level likely limited liquid literary little lively local \
    logical lonely long loose loud lovely low lower lucky mad magnetic main major male marine married \
    massive mature maximum mean medical mental mere mighty mild military minor minute missing mixed \
    mobile modern modest moral mutual mysterious narrow nasty national native natural naval near neat \
    necessary nervous neutral new next nice noble noisy normal northern nuclear numerous obvious odd \
    official old only open opposite ordinary original other outdoor outer oval overall painful pale \
    parallel partial particular passive past patient perfect permanent personal physical pink plain \
    pleasant polite political poor popular positive possible powerful precious precise pregnant present \
    pretty previous primary prime primitive private probable professional prominent proper proud public \
    pure quick quiet random rapid rare raw ready real rear recent red regional regular relative relevant \
    reliable religious remarkable remote responsible rich right rigid ripe rolling rotten rough round \
    royal rude rural sad safe salty same scared secondary secure senior sensible sensitive separate \
    serious severe shallow sharp shiny short shy silent silly similar simple single slight slim slow \
    small smart smooth social solar sole solid sore sorry sour southern special specific spicy spiritual \
    splendid stale statistical steady steep sticky stiff still strange strict strong subtle successful \
    sudden sufficient suitable sunny super superb superior sure sweet swift tall tame tender tense \
    terrible thick thin thirsty thorough tidy tight tiny tired total tough toxic tragic tremendous \
    tropical true typical ugly ultimate unable uncertain unfair unhappy uniform unique universal unknown \
    unlikely unusual upper upset urban urgent useful usual vacant vague valid valuable various vast \
    verbal vertical violent visible visual vital vivid warm weak wealthy weary weekly weird western wet \
    white whole wicked wide wild willing wise wonderful wooden worried worse worthy wrong young";

const PLAIN: &str = "\
    a about above across after again against all almost along already also although always am among an \
    and another any are around as at away be because been before behind being below beneath beside \
    between beyond both but by can could did do does down during each either else enough ever every few \
    for from had has have he her here hers him himself his how however if in indeed instead into is it \
    its itself least less many may me might more most much must my near neither never no none nor not \
    now of off often on once one only onto or other our ours out over own per perhaps quite rather same \
    shall she should since so some soon still such than that the their them then there therefore these \
    they this those though through thus to together too toward under until up upon us very was we well \
    were what when where whether which while who whom whose why will with within without would yet you \
    your";

const FORMAL: &str = "\
    abide abolish absolved abuse accommodation accordance acquiesce act adjourn administration \
    affirmative allegiance alliance ambassador amendment annual appeal appellate appoint appropriation \
    arbitrary arms assembly assent attest attorney authority bail ballot bankruptcy barbarous benevolent \
    bill bound boundary bounty breach brethren bribery cabinet candid capitation census certificate \
    character charter chosen circumstance citizen civilized clause coin colony commander commerce \
    commission commit compact compensation competent conceded concurrence conformation congress \
    conscience consent constitution constrain consul contract convention convict corruption counterfeit \
    court crown decent declare decree deem defend delegate democracy deny deprive desolation despotism \
    dignity direct disavow dispose dissolve district divine domain domestic duration duty earth effect \
    elect election elector emigration emolument endeavour endowed enemy engagement enlarge enumeration \
    equal equity erect established evident evils excise executive exercise expire export faith federal \
    felony fine forbidden foreign forfeit form foundation free friendship fugitive general good governed \
    government governor grand grant guarantee guards guilt habeas happiness harass history house hundred \
    impair impeachment import impost imprisoned inalienable indictment inestimable inevitable inferior \
    inhabitant inherent injury insurrection intercourse interrupt invade invasion involuntary judgment \
    judicial judiciary jurisdiction jury just justice kindred king labor lands laws legal legislature \
    levy liability liberty likely magistrate majority manhood mankind manly mariner measure member \
    merciless migration military militia ministry moderate murder mutual native naturalization nature \
    necessity neglect nobility nominate oath obligation obstruct offense office opinion oppress order \
    ordinance organize original pardon parliament party patent patient peace penalty people perfidy \
    petition plunder poll ports powers preamble prejudice prescribe present president press presume \
    pretended prince principle privilege prohibit property prosecute protect prove province provision \
    prudence publish punish pursuit quarters quorum ransom ratify recall rectitude redress refuse \
    regulate reject religion relinquish remedy render repeatedly representative reprieve reprisal \
    republic reserve residence respect restrain revenue right ruler safety search seas secure security \
    seize senate separation service session settlement ships slavery society soldier solemn sovereign \
    speech standing state station statute subject submit suffer suffrage suit supreme surrender suspend \
    swarms system taxes tenure term territory testimony throw title trade tranquil transient treason \
    treasure treaty trial tribunal troops trust truth tyranny tyrant unanimous uncomfortable \
    undistinguished union united unusual usurpation vacancy vessel veto voice vote waging wanting war \
    warfare warrant welfare whereas withdraw witness world writ yeas";

const TECHNICAL: &str = "\
    abort access adapter address agent alias align alloc ansi append archive argument array ascii async \
    atom attr audio auth backup batch binary bind bios bitmap block boolean boot branch browser buffer \
    bug build bundle byte cache call cert char chip class client clone cluster code codec column commit \
    compile config console constant cookie core cpu crash cron crypt cursor daemon data debug decode \
    default delete delta depend device digest disk dns document domain draft driver dump dynamic echo \
    edge editor email emulate encode engine entropy enum env error escape ethernet event exec export \
    expr extension fail fault fetch field file filter firmware flag flash float flow folder font forward \
    frame free gateway global graph grid group hash header heap hex hook host html http icon index inet \
    info init inline input insert install integer interface internet intranet ipsec item iterate java \
    join kernel key keyword label lambda laser latency layer layout length level library license link \
    linux list load local lock log logic login loop macro mail main malloc map mask matrix mbox media \
    memory menu merge message metadata method micro mime mirror modem module monitor mount mouse \
    multicast mutex name native net network node null number object octet offset online opcode open \
    operand option output overflow packet padding page paging param parse partition password patch path \
    payload peer perl ping pipe pixel plugin pointer poll pool port postfix prefix print process profile \
    prompt protocol proxy public pulse push query queue quota random range raw read record recursive \
    redirect reference register relay release reload remote render reply request reserved reset resolve \
    resource response retry return rfc root route router runtime sample scan schema scope screen script \
    secure segment select sender serial server service session shell signal simple site size smtp socket \
    soft source spec spool stack standard start state static status std storage stream string struct \
    style submit subnet switch symbol sync syntax system tab table tag target task tcp telnet template \
    terminal test text thread timeout token tool trace transfer transport tree trigger tunnel tuple type \
    udp unicode unit unix update upload usb user utf util value var vector version video view virtual \
    visual web widget width window wire wireless word worker wrapper write xml zip zone";

const LATIN: &str = "\
    abluit ad aeterna alter amor animus annus ante aqua ars atque aut autem bellum bene bonum caelum \
    causa civis corpus cum cura custos dei deo dies dignus doctor dolor domini dominus ecclesia ego ergo \
    esse est et etiam evangelium fama fides filius finis flumen fortuna frater gaudium gladius gloria \
    gratia habet homo hora hostis iam ignis illud imago in inter ipse iter iubet iudicium ius labor lex \
    liber locus lumen luna magister magnus manus mare mater medius memoria mens mors mox mundus natura \
    navis nemo nihil nisi nomen non nos noster novus nox nunc omnia omnis opera opus ora pater pax \
    peccata pecunia per plebs poena pontifex populus possunt post potest primus princeps pro propter \
    puer purus quae quam quasi quid quod ratio regina regnum remissio res rex sacer saeculum salus \
    sanctus sapiens scire sed semper senatus sensus servus si sic signum silva sine sol spes spiritus \
    stella sub sum summa tamen tempus terra timor totus tuus ubi umbra unus urbs usus uxor vale vel \
    venia ventus verbum veritas vero via victor vides vigil vir virtus vita vitium vivit vox vulgus";

const GIVEN: &str = "\
    aaron abigail adam adele adrian agnes albert alexander alfred alice amanda amber amelia andrea \
    andrew angela anna annabelle anthony antonia arabella arthur ashley audrey august barbara beatrice \
    benjamin bernard bertram beverly bonnie brandon brenda brian bridget bruce caleb calvin cameron \
    carla carlton carmen carol caroline catherine cecil charity charles charlotte chester christian \
    christina clara clarence claude clifford clinton cody connor constance cornelius crystal curtis \
    cynthia daisy daniel daphne darius deborah denis derek diana dominic donald dora doris dorothy \
    douglas duncan edgar edith edmund edward eileen eleanor elijah elizabeth ella elliot elmer emily \
    emma eric ernest esther ethan eugene eunice eva evelyn faith felicity felix fiona flora florence \
    frances francis franklin frederick gabriel gareth gavin geoffrey george gerald gilbert gladys gloria \
    godfrey gordon grace graham gregory gwendoline hannah harold harriet harvey heather hector helen \
    henrietta henry herbert hilary holly homer horace howard hubert hugh humphrey ian ida irene iris \
    isaac isabella ivan jack jacob james jane janet jasmine jason jasper jeffrey jemima jennifer jeremy \
    jerome jessica joan joel john jonathan joseph josephine joshua joyce judith julia julian justin \
    karen katherine keith kenneth kevin kimberly laura lawrence leah leonard leslie lewis lillian linda \
    lionel louis louise lucas lucy luke lydia mabel magnus malcolm marcus margaret maria marian marjorie \
    mark marshall martha martin mary matilda matthew maud maurice maxine melissa mercy michael mildred \
    miranda miriam mitchell molly monica morgan muriel nancy natalie nathan neil nelson nicholas nicola \
    nigel noel nora norman olive oliver olivia oscar oswald owen pamela patricia patrick paul pauline \
    penelope percival peter philip phoebe phyllis priscilla prudence quentin rachel ralph randolph \
    raymond rebecca reginald reuben rex richard robert roderick rodney roger roland ronald rosalind \
    rosemary rowland roy rufus rupert russell ruth samantha samuel sandra sarah scott sebastian selina \
    serena sharon shirley sidney silas silvia simon sophia spencer stanley stella stephen stuart susan \
    sylvester tabitha teresa theodore thomas timothy tobias tracy trevor tristan valerie vernon veronica \
    victor vincent violet virginia vivian walter wanda warren wendy wilfred william winifred winston \
    yvonne zachary";

const PLACES: &str = "\
    africa alaska albania algeria america andorra angola antigua arabia argentina armenia aruba asia \
    athens atlanta australia austria azores bahamas bahrain baltic bangkok barbados belarus belgium \
    belize bengal benin berlin bermuda bhutan bolivia boston botswana brazil brazzaville brussels \
    bulgaria burundi cairo california cambodia cameroon canada canton capital chad chicago chile china \
    colombia comoros congo corsica croatia cuba cyprus dallas damascus danube delhi denmark denver dover \
    dublin ecuador egypt england eritrea estonia ethiopia europe fiji finland florida france gabon \
    gambia geneva georgia germany ghana gibraltar greece greenland grenada guatemala guinea guyana haiti \
    havana hawaii holland honduras hungary iceland illinois india indiana iran iraq ireland israel \
    istanbul italy jamaica japan java jersey jordan kansas kenya kiev kingston korea kosovo kuwait lagos \
    laos latvia lebanon lesotho liberia libya lima lisbon lithuania london luxembourg macau madagascar \
    madrid maine malawi malaysia mali malta manila maryland mauritius mexico miami michigan milan \
    minnesota moldova monaco mongolia montana morocco moscow mozambique munich namibia naples nebraska \
    nepal nevada nicaragua niger nigeria norway oakland ohio oman ontario oregon oslo pakistan palau \
    panama paraguay paris persia peru phoenix poland portland portugal prague qatar quebec riga romania \
    rome russia rwanda samoa saudi scotland seattle senegal seoul serbia siberia sicily singapore \
    slovakia slovenia somalia spain sudan sumatra suriname sweden syria taiwan tanzania texas thailand \
    tibet togo tokyo tonga toronto tunisia turkey uganda ukraine uruguay utah vatican venezuela venice \
    vermont vienna vietnam virginia wales warsaw yemen zambia zanzibar zimbabwe zurich";

const ENDINGS: &str = "\
    able age al ance ate ation dom ed en ence er ery est ful hood ible ic ify ing ion ish ism ist ity \
    ive ize less let like ling ly ment ness or ous ship some ster tion ty ure ward wise y";
